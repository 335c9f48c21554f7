"""Producer ids: none twice, whatever happens to a claim or to the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.layout import PRODUCER_ID_BLOCK
from kstore.metadata.producer_ids import BLOCK_SIZE, ProducerIds
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.tree import OutcomeUnknown
from kstore.runtime import Later, SynchronousRuntime


@pytest.fixture
def tree(stores):
    return stores.open()


@pytest.fixture
def wait(stores):
    return stores.wait


def block(tree, wait):
    body = json.loads(wait(tree.get(PRODUCER_ID_BLOCK)).data)
    return body["broker"], int(body["block_start"]), int(body["block_end"])


def test_ids_follow_each_other_over_blocks(tree, wait):
    ids = ProducerIds(tree, 7)
    assert [wait(ids.next()) for _ in range(2500)] == list(range(2500))
    assert block(tree, wait) == (7, 2000, 2999)


def test_a_block_is_claimed_before_its_first_id_is_given(tree, wait):
    ids = ProducerIds(tree, 7)
    claimed = []
    first = ids.next()
    first.then(lambda _: claimed.append(tree.get(PRODUCER_ID_BLOCK)))
    assert wait(first) == 0
    assert json.loads(wait(claimed[0]).data)["block_end"] == "999"


def test_many_at_once_get_an_id_each(tree, wait):
    ids = ProducerIds(tree, 7)
    answers = [ids.next() for _ in range(2 * BLOCK_SIZE + 1)]
    assert [wait(answer) for answer in answers] == list(range(2 * BLOCK_SIZE + 1))
    assert block(tree, wait) == (7, 2000, 2999)


def test_asking_from_within_an_answer(tree, wait):
    ids = ProducerIds(tree, 7)
    given = []

    def again(answer):
        given.append(answer.result())
        if len(given) < 3 * BLOCK_SIZE and len(given) % 300:
            ids.next().then(again)

    for _ in range(10):
        answer = ids.next()
        answer.then(again)
        wait(answer)
    assert len(given) == 3000
    assert given == list(range(3000))
    assert block(tree, wait) == (7, 2000, 2999)


def test_after_a_restart_a_new_block_begins(stores):
    tree = stores.open()
    assert stores.wait(ProducerIds(tree, 7).next()) == 0
    assert stores.wait(ProducerIds(stores.reopen(), 7).next()) == 1000


def test_brokers_share_the_ids(tree, wait):
    ids = [ProducerIds(tree, node_id) for node_id in range(4)]
    answers = [ids[number % 4].next() for number in range(4 * 1500)]
    given = [wait(answer) for answer in answers]
    assert len(set(given)) == len(given)


class FaultyTree:
    """A tree whose next writes end in OutcomeUnknown, applied or not as told."""

    def __init__(self, tree, *applied):
        self._tree = tree
        self._applied = list(applied)

    def _write(self, call):
        if not self._applied:
            return call()
        if self._applied.pop(0):
            call().result()
        return Later.failed(OutcomeUnknown(PRODUCER_ID_BLOCK, "lost"))

    def create(self, *args):
        return self._write(lambda: self._tree.create(*args))

    def set(self, *args):
        return self._write(lambda: self._tree.set(*args))

    def __getattr__(self, name):
        return getattr(self._tree, name)


@pytest.fixture
def sqlite_tree(tmp_path):
    tree = SqliteTree(tmp_path / METADATA_FILE, SynchronousRuntime())
    yield tree
    tree.close()


@pytest.mark.parametrize(
    ("applied", "first"), [([False], 0), ([True], 1000), ([True, False, True], 2000)]
)
def test_an_unknown_claim_is_never_used(sqlite_tree, applied, first):
    ids = ProducerIds(FaultyTree(sqlite_tree, *applied), 7)
    assert ids.next().result() == first


def test_claims_that_come_to_nothing_end_in_an_error(sqlite_tree):
    ids = ProducerIds(FaultyTree(sqlite_tree, *[False] * 10), 7)
    answer = ids.next()
    assert isinstance(answer.error, KafkaError)
    assert answer.error.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert ids.next().result() == 0


@pytest.mark.parametrize("data", [b"nonsense", b'{"block_end":"9223372036854775000"}'])
def test_without_a_next_block_there_is_an_error(sqlite_tree, data):
    sqlite_tree.create(PRODUCER_ID_BLOCK, data)
    answer = ProducerIds(sqlite_tree, 7).next()
    assert isinstance(answer.error, KafkaError)
    assert answer.error.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert sqlite_tree.get(PRODUCER_ID_BLOCK).result().data == data


def test_a_closed_tree_gives_no_ids(sqlite_tree):
    sqlite_tree.close()
    assert isinstance(ProducerIds(sqlite_tree, 7).next().error, KafkaError)


GIVER = """
import sys
from pathlib import Path
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.sqlite_tree import SqliteTree
from kstore.runtime import SynchronousRuntime

ids = ProducerIds(SqliteTree(Path(sys.argv[1]), SynchronousRuntime()), 1)
while True:
    print(*[ids.next().result() for _ in range(100)], sep="\\n", flush=True)
"""


def test_killed_processes_never_give_an_id_twice(tmp_path):
    given = []
    for kill_after in (1, 950, 1000, 2345):
        with subprocess.Popen(
            [sys.executable, "-c", GIVER, str(tmp_path / METADATA_FILE)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            given += [int(process.stdout.readline()) for _ in range(kill_after)]
            process.send_signal(signal.SIGKILL)
            # A number cut in half by the kill is not told to anybody.
            given += [int(line) for line in process.stdout if line.endswith("\n")]
        assert process.returncode == -signal.SIGKILL
    assert len(given) >= 4296
    assert len(set(given)) == len(given)
