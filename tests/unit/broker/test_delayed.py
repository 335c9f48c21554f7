"""Fetches that wait: answered once, by what they wait for, by their time, or by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kstore as api
from kstore.broker.context import Connection
from kstore.broker.delayed import DelayedFetch
from kstore.broker.partition import Partition
from kstore.errors import ErrorCode, KafkaError
from kstore.log.records import Record, build_batch
from kstore.metadata.image import PartitionImage
from kstore.testing.manual import ManualRuntime

MAX_WAIT_MS = 500
REPLY = [b"reply"]


class Case:
    """Two partitions, a connection, and a fetch that misses 200 bytes."""

    def __init__(self, store: api.Store, *, committed_only: bool = False) -> None:
        self.runtime = ManualRuntime()
        self.connection = Connection("127.0.0.1", 1, "a client")
        self.partitions = [
            Partition(store.create("t", index), PartitionImage(index, 1, 0, (1,), (1,)))
            for index in range(2)
        ]
        self.reads = 0
        self.fault: KafkaError | None = None
        self.fetch = DelayedFetch(
            self.runtime,
            self.connection,
            self.partitions,
            200,
            MAX_WAIT_MS,
            self.answer,
            committed_only=committed_only,
        )

    def answer(self) -> list[bytes]:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return REPLY

    def append(self, index: int, size: int = 100) -> None:
        batch = build_batch([Record(0, 1, None, b"", ())])
        padded = build_batch([Record(0, 1, None, bytes(size - len(batch)), ())])
        self.partitions[index].append(padded, 1)

    @property
    def waits(self) -> bool:
        return bool(self.connection.waiting or any(one.watchers for one in self.partitions))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with api.open(tmp_path) as store:
        yield Case(store)


def test_it_is_answered_when_the_bytes_of_all_partitions_suffice(case: Case) -> None:
    case.append(0)
    case.runtime.run_soon()
    assert not case.fetch.reply.done
    case.append(1)
    assert not case.fetch.reply.done, "the append is answered first"
    case.runtime.run_soon()
    assert case.fetch.reply.result() == REPLY
    assert not case.waits
    assert case.runtime.timer_count == 0


def test_many_appends_in_one_go_are_read_once(case: Case) -> None:
    for _ in range(5):
        case.append(0)
    case.runtime.run_soon()
    case.append(0)
    case.runtime.advance(2 * MAX_WAIT_MS)
    assert case.reads == 1


def test_its_time_ends_it(case: Case) -> None:
    case.runtime.advance(MAX_WAIT_MS - 1)
    assert not case.fetch.reply.done
    case.runtime.advance(1)
    assert case.fetch.reply.result() == REPLY
    assert not case.waits


def test_time_and_data_at_once_answer_once(case: Case) -> None:
    case.append(0, 300)
    case.runtime.advance(MAX_WAIT_MS)
    assert case.reads == 1


def test_a_partition_that_goes_ends_it(case: Case) -> None:
    case.partitions[1].disturb()
    case.runtime.run_soon()
    assert case.fetch.reply.done
    assert not case.waits


def test_a_connection_that_goes_ends_it_without_an_answer(case: Case) -> None:
    case.append(0, 300)
    case.connection.close()
    case.runtime.advance(2 * MAX_WAIT_MS)
    assert not case.fetch.reply.done
    assert case.reads == 0
    assert not case.waits
    assert case.runtime.timer_count == 0


def test_what_goes_wrong_at_the_end_is_told(case: Case) -> None:
    case.fault = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
    case.runtime.advance(MAX_WAIT_MS)
    assert case.fetch.reply.error is case.fault
    assert not case.waits
