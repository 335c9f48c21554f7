"""The same directories under Kafka and under kstore: what one wrote the other serves, one by one.

Compared are offsets, timestamps, keys, values and headers, for every codec, a compacted topic and
transactions, as a consumer reads them with and without the uncommitted.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from kstore.log.checkpoints import CLEANER_OFFSETS, parse_offsets
from tests.conformance.judges.kafka import KafkaProcess, KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.clients import CODECS, create_topic
from tests.conformance.support.readback import Seen, commit, committed_offsets, read_back

pytestmark = pytest.mark.jdk

DEADLINE_S = 60
START_MS = 1_760_000_000_000
RECORD_COUNT = 300
PARTITION_COUNT = 2
TOPICS = (*CODECS, "compacted", "transactions")
OPEN = "open"
ISOLATIONS = ("read_uncommitted", "read_committed")
# A segment ends when a timestamp is a minute further; both brokers clean soon.
SETTINGS = {
    "log.cleaner.backoff.ms": 200,
    "log.cleaner.dedupe.buffer.size": 10 << 20,
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 3,
    "log.retention.ms": -1,
}
CONFIGS = {"segment_ms": "60000", "index_interval_bytes": "200"}
GROUPS = {"readers": {0: (11, "so far"), 1: (7, "")}, "gone": {0: (1, "x")}}

Everything = dict[str, dict[str, list[Seen]]]
"""By isolation level, then by partition."""


def create_topics(servers: str) -> None:
    for topic in TOPICS:
        more = {"cleanup_policy": "compact", "min_cleanable_dirty_ratio": "0.01"}
        configs = {**CONFIGS, **(more if topic == "compacted" else {})}
        create_topic(servers, topic, PARTITION_COUNT, **configs)


def producer(servers: str, **settings: Any) -> confluent_kafka.Producer:
    return confluent_kafka.Producer({"bootstrap.servers": servers, "linger.ms": 2, **settings})


def send(to: confluent_kafka.Producer, topic: str, number: int, *, value: bytes | None) -> None:
    headers = [("number", str(number).encode()), ("none", None), ("number", b"again")]
    to.produce(
        topic,
        key=None if topic in CODECS and number % 4 == 3 else f"key {number % 17}".encode(),
        value=value,
        partition=number % PARTITION_COUNT,
        timestamp=START_MS + number * 1000,
        headers=headers[: number % 4],
    )
    to.poll(0)


def fill(servers: str) -> None:
    """Records of every codec; few keys and tombstones; committed offsets."""
    for codec in CODECS:
        sender = producer(servers, **{"compression.type": codec, "batch.num.messages": 10})
        for number in range(RECORD_COUNT):
            value = None if number % 11 == 5 else (b"%s %d " % (codec.encode(), number)) * 9
            send(sender, codec, number, value=value)
        assert sender.flush(DEADLINE_S) == 0
    sender = producer(servers, **{"batch.num.messages": 10, "enable.idempotence": True})
    for number in range(RECORD_COUNT):
        send(sender, "compacted", number, value=None if number % 13 == 5 else b"%d" % number)
    assert sender.flush(DEADLINE_S) == 0
    for group, offsets in GROUPS.items():
        commit(servers, group, "none", offsets)


def fill_transactions(servers: str) -> None:
    """Transactions over both partitions, every third one aborted, beside plain records."""
    inside = producer(servers, **{"transactional.id": "swap"})
    outside = producer(servers)
    inside.init_transactions(DEADLINE_S)
    for number in range(0, 60, 4):
        inside.begin_transaction()
        send(inside, "transactions", number, value=b"inside")
        send(inside, "transactions", number + 1, value=b"inside too")
        send(outside, "transactions", number + 2, value=b"outside")
        assert inside.flush(DEADLINE_S) == outside.flush(DEADLINE_S) == 0
        if number % 3:
            inside.commit_transaction(DEADLINE_S)
        else:
            inside.abort_transaction(DEADLINE_S)


def leave_open(servers: str) -> confluent_kafka.Producer:
    """A transaction that nobody ends; it is given up with the producer."""
    create_topic(servers, OPEN, 1)
    open_one = producer(servers, **{"transactional.id": OPEN})
    open_one.init_transactions(DEADLINE_S)
    open_one.begin_transaction()
    open_one.produce(OPEN, b"never committed")
    assert open_one.flush(DEADLINE_S) == 0
    return open_one


def check_open_one_is_aborted(servers: str) -> None:
    """The producer's next life, at the other broker, aborts what it left, and goes on."""
    committed = "read_committed"
    assert read_back(servers, {OPEN: 1}, committed) == {f"{OPEN}-0": []}
    next_life = producer(servers, **{"transactional.id": OPEN})
    next_life.init_transactions(DEADLINE_S)
    next_life.begin_transaction()
    next_life.produce(OPEN, b"committed")
    next_life.commit_transaction(DEADLINE_S)
    (seen,) = read_back(servers, {OPEN: 1}, committed).values()
    # Behind the record that was given up stands the marker that aborts it.
    assert [(one.offset, one.value) for one in seen] == [(2, b"committed")]


def wait_until_cleaned(broker: BrokerProcess) -> None:
    """Until the compacted topic has been cleaned up to its active segments: it changes no more."""
    checkpoint = broker.data_dir / CLEANER_OFFSETS
    deadline = time.monotonic() + DEADLINE_S
    while True:
        cleaned = parse_offsets(checkpoint.read_bytes()) if checkpoint.exists() else {}
        active = {
            ("compacted", index): max(
                int(path.stem) for path in broker.partition_dir("compacted", index).glob("*.log")
            )
            for index in range(PARTITION_COUNT)
        }
        if cleaned.items() >= active.items():
            return
        assert time.monotonic() < deadline, f"not cleaned: {cleaned}, active: {active}"
        time.sleep(0.1)


def read_all(servers: str) -> Everything:
    topics = dict.fromkeys(TOPICS, PARTITION_COUNT)
    return {isolation: read_back(servers, topics, isolation) for isolation in ISOLATIONS}


def check_same(found: Everything, expected: Everything) -> None:
    for isolation in ISOLATIONS:
        for partition, seen in expected[isolation].items():
            assert found[isolation][partition] == seen, f"{partition}, {isolation}"


def check_filled(everything: Everything) -> None:
    """The comparison would be worth nothing if there were nothing to compare."""
    uncommitted, committed = (everything[isolation] for isolation in ISOLATIONS)
    for codec in CODECS:
        assert len(uncommitted[f"{codec}-0"] + uncommitted[f"{codec}-1"]) == RECORD_COUNT
    assert 0 < len(uncommitted["compacted-0"]) < RECORD_COUNT // PARTITION_COUNT
    assert len(committed["transactions-0"]) < len(uncommitted["transactions-0"])


def check_goes_on(servers: str, before: dict[str, list[Seen]]) -> None:
    """A record more in each partition stands behind the last one, of which nothing is lost."""
    topics = dict.fromkeys((*CODECS, "compacted"), PARTITION_COUNT)
    for topic in topics:
        sender = producer(servers, **{"enable.idempotence": True})
        for number in range(PARTITION_COUNT):
            send(sender, topic, number, value=b"new")
        assert sender.flush(DEADLINE_S) == 0
    for partition, (*old, new) in read_back(servers, topics).items():
        assert old == before[partition], partition
        assert new.value == b"new"
        assert new.offset == RECORD_COUNT // PARTITION_COUNT
        epochs = [one.leader_epoch for one in (*old, new) if one.leader_epoch is not None]
        assert epochs == sorted(epochs)
        assert epochs[-1] > epochs[0]


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_what_kafka_wrote_kstore_serves(tmp_path: Path, kafka_tools: KafkaTools, end: str) -> None:
    kafka = KafkaProcess(tmp_path, SETTINGS).start()
    create_topics(kafka.bootstrap_servers)
    fill(kafka.bootstrap_servers)
    fill_transactions(kafka.bootstrap_servers)
    wait_until_cleaned(kafka)
    open_one = leave_open(kafka.bootstrap_servers)
    expected = read_all(kafka.bootstrap_servers)
    check_filled(expected)
    if end == "stopped":
        kafka.stop()
    else:
        kafka.kill()
    del open_one

    told = run_kstore("import", str(kafka.data_dir))
    assert "imported; next: kstore serve" in told
    with BrokerProcess(tmp_path, SETTINGS) as kstore:
        servers = kstore.bootstrap_servers
        check_same(read_all(servers), expected)
        for group, offsets in GROUPS.items():
            assert committed_offsets(servers, group, "none", PARTITION_COUNT) == {
                **dict.fromkeys(range(PARTITION_COUNT), (confluent_kafka.OFFSET_INVALID, "")),
                **offsets,
            }
        check_goes_on(servers, expected["read_uncommitted"])
        check_open_one_is_aborted(servers)
    assert "no fault found" in run_kstore("check", str(kafka.data_dir))


def put_in_place(source: Path, target: Path) -> None:
    """As an operator would: the files of one for those of the other, under the other's topic id."""
    topic_id = (target / "partition.metadata").read_bytes()
    shutil.rmtree(target)
    shutil.copytree(source, target)
    (target / "partition.metadata").write_bytes(topic_id)


def test_what_kstore_wrote_kafka_serves(tmp_path: Path, kafka_tools: KafkaTools) -> None:
    kstore = BrokerProcess(tmp_path / "kstore", SETTINGS).start()
    create_topics(kstore.bootstrap_servers)
    fill(kstore.bootstrap_servers)
    fill_transactions(kstore.bootstrap_servers)
    wait_until_cleaned(kstore)
    expected = read_all(kstore.bootstrap_servers)
    check_filled(expected)
    kstore.stop()

    kafka = KafkaProcess(tmp_path / "kafka", SETTINGS).start()
    create_topics(kafka.bootstrap_servers)
    kafka.stop()
    for topic in TOPICS:
        for index in range(PARTITION_COUNT):
            put_in_place(kstore.partition_dir(topic, index), kafka.partition_dir(topic, index))
    with kafka:
        found = read_all(kafka.bootstrap_servers)
        check_same(found, expected)
        check_goes_on(kafka.bootstrap_servers, found["read_uncommitted"])
