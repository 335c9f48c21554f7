"""Taking over a Kafka node's directories: its metadata, what is planned, what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from kstore.errors import StoreError
from kstore.log.files import Files
from kstore.metadata.cluster import Cluster
from kstore.metadata.image import MetadataImage
from kstore.metadata.importing import records
from kstore.metadata.importing.directories import locked_node
from kstore.metadata.importing.metadata import KafkaMetadata, UnreadableMetadataError
from kstore.metadata.importing.plan import READ_ONLY, ImportPlan, plan_import
from kstore.metadata.importing.reading import read_metadata
from kstore.metadata.importing.writing import write_import
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.runtime import SynchronousRuntime
from tests.support import kraft
from tests.support.kraft import CLUSTER_ID, NODE_ID, NodeDirectory, config, frame, topic

A, B = UUID(int=0xA << 64), UUID(int=0xB << 64)
TOPIC, BROKER = 2, 4
FILES = Files()


def read(directory: Path, *, closed: bool = True) -> KafkaMetadata:
    return read_metadata(FILES, directory, closed=closed)


def names(metadata: KafkaMetadata) -> list[str]:
    return sorted(one.name for one in metadata.topics.values())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "__cluster_metadata-0"


@pytest.fixture
def node(tmp_path: Path) -> NodeDirectory:
    return NodeDirectory(tmp_path / "data")


def plan_of(*paths: Path, metadata: Path | None = None) -> ImportPlan:
    with locked_node(paths, metadata, FILES) as found:
        return plan_import(found)


def imported(*paths: Path) -> MetadataImage:
    """The metadata of a broker that serves what was imported."""
    with locked_node(paths, None, FILES) as found:
        write_import(plan_import(found), FILES)
    return served(paths[0])


def served(path: Path) -> MetadataImage:
    runtime = SynchronousRuntime()
    tree = SqliteTree(path / METADATA_FILE, runtime)
    opened = Cluster.open(tree, runtime, node_id=NODE_ID, cluster_id=CLUSTER_ID)
    tree.close().result()
    return opened.result().image


# The metadata


def test_records_are_replayed_in_their_order(log: Path) -> None:
    change = records.PartitionChangeRecord(topic_id=A, partition_id=0, leader=2, isr=[2])
    kraft.write_log(
        log,
        [
            *topic("a", A, [(2, 3)]),
            *topic("b", B),
            config(TOPIC, "a", "retention.ms", "1"),
            config(TOPIC, "a", "retention.bytes", "2"),
            config(TOPIC, "a", "retention.ms", None),
            config(TOPIC, "b", "retention.ms", "3"),
            config(BROKER, "", "log.retention.ms", "4"),
            frame(change),
            frame(records.RemoveTopicRecord(topic_id=B)),
            frame(records.ProducerIdsRecord(broker_id=3, next_producer_id=2000)),
            frame(records.FeatureLevelRecord(name="metadata.version", feature_level=30)),
        ],
    )
    metadata = read(log)
    assert names(metadata) == ["a"]
    partition = metadata.topics[A].partitions[0]
    assert (partition.replicas, partition.isr, partition.leader_epoch) == ((2, 3), (2,), 5)
    assert metadata.topic_configs("a") == {"retention.bytes": "2"}
    assert metadata.topic_configs("b") == {}
    assert metadata.broker_configs("") == {"log.retention.ms": "4"}
    assert metadata.next_producer_id == 2000
    assert metadata.features == {"metadata.version": 30}


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version_of_a_partition_is_read(log: Path, version: int) -> None:
    made = records.PartitionRecord(partition_id=0, topic_id=A, replicas=[3], isr=[3], leader=3)
    if version:
        made.directories = [B]
    first = topic("a", A, [])
    kraft.write_log(log, [*first, frame(made, version)])
    partition = read(log).topics[A].partitions[0]
    assert partition.directory_of(3) == (B if version else None)
    assert partition.directory_of(4) is None


@pytest.mark.parametrize(
    ("replicas", "isr", "eligible", "lacks"),
    [
        ([3], [], None, False),
        ([3, 4], [3], None, False),
        ([3, 4], [4], [3], False),
        ([3, 4], [4], None, True),
        ([3, 4], [], [4], True),
    ],
)
def test_a_replica_in_sync_at_the_end_lacks_nothing(
    log: Path, replicas: list[int], isr: list[int], eligible: list[int] | None, lacks: bool
) -> None:
    made = records.PartitionRecord(
        partition_id=0, topic_id=A, replicas=replicas, isr=isr, eligible_leader_replicas=eligible
    )
    kraft.write_log(log, [*topic("a", A, []), frame(made)])
    assert read(log).topics[A].partitions[0].may_lack_records(3) == lacks
    change = records.PartitionChangeRecord(
        partition_id=0, topic_id=A, isr=[4], eligible_leader_replicas=[3]
    )
    kraft.write_log(log, [*topic("a", A, []), frame(made), frame(change)])
    assert not read(log).topics[A].partitions[0].may_lack_records(3)


def test_what_is_not_taken_over_is_counted(log: Path) -> None:
    kraft.write_log(log, [kraft.unknown(kind) for kind in (0, 18, 18, 20, 77)])
    assert read(log).skipped == {"AccessControlEntryRecord": 2, "type 77": 1}


def test_a_transaction_counts_once_it_has_ended(log: Path) -> None:
    begin, end = frame(records.BeginTransactionRecord()), frame(records.EndTransactionRecord())
    abort = frame(records.AbortTransactionRecord())
    kraft.write_log(log, [begin, *topic("a", A), end, begin, *topic("b", B), abort])
    assert names(read(log)) == ["a"]
    kraft.write_log(log, [*topic("a", A), begin, *topic("b", B)])
    assert names(read(log)) == ["a"]


def test_the_newest_snapshot_and_the_log_behind_it(log: Path) -> None:
    kraft.write_snapshot(log, topic("old", A), 2)
    kraft.write_snapshot(log, topic("a", A), 5)
    gone = frame(records.RemoveTopicRecord(topic_id=B))
    kraft.write_log(log, [*topic("b", B), gone, *topic("c", UUID(int=7)), *topic("d", B)])
    # Offsets 0 to 4 are in the snapshot: the topics b and c are not made a second time.
    assert names(read(log)) == ["a", "d"]


def test_a_log_in_segments(log: Path) -> None:
    kraft.write_log(log, topic("a", A))
    kraft.write_log(log, topic("b", B), 2)
    assert names(read(log)) == ["a", "b"]
    kraft.write_log(log, topic("c", UUID(int=7)), 5)
    with pytest.raises(UnreadableMetadataError, match="is not what follows offset 4"):
        read(log)


def test_a_log_that_begins_behind_the_snapshot_is_not_whole(log: Path) -> None:
    kraft.write_log(log, topic("a", A), 7)
    with pytest.raises(UnreadableMetadataError, match="lacks what follows offset 0"):
        read(log)
    kraft.write_snapshot(log, topic("b", B), 6)
    with pytest.raises(UnreadableMetadataError, match="lacks what follows offset 6"):
        read(log)


def test_a_torn_end_is_left_out_after_a_crash_only(log: Path) -> None:
    path = kraft.write_log(log, [*topic("a", A), *topic("b", B)])
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    metadata = read(log, closed=False)
    assert names(metadata) == ["a", "b"]
    assert metadata.topics[B].partitions == {}
    assert metadata.torn_size > 10
    with pytest.raises(UnreadableMetadataError, match="at position"):
        read(log, closed=True)
    path.write_bytes(data + b"\0" * 100)
    assert read(log, closed=False).torn_size == 100


def test_a_damaged_batch_within_is_told(log: Path) -> None:
    path = kraft.write_log(log, topic("a", A))
    kraft.write_log(log, topic("b", B), 2)
    data = bytearray(path.read_bytes())
    data[70] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableMetadataError, match="at position 0: the CRC does not match"):
        read(log, closed=False)


def test_a_snapshot_without_its_end_is_told(log: Path) -> None:
    kraft.write_log(log, topic("a", A))
    kraft.write_snapshot(log, topic("a", A), 2, footer=False)
    with pytest.raises(UnreadableMetadataError, match="has no end"):
        read(log)


def test_a_damaged_snapshot_is_told(log: Path) -> None:
    kraft.write_log(log, topic("a", A))
    path = kraft.write_snapshot(log, topic("a", A), 2)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableMetadataError, match="CRC"):
        read(log)
    path.write_bytes(data[:-20])
    with pytest.raises(UnreadableMetadataError, match="the bytes end inside the batch"):
        read(log)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([b""], "ends in its head"),
        ([b"\x00\x02\x00"], "frame version 0 is not known"),
        ([b"\x01\x02\x09"], "TopicRecord has no version 9"),
        ([frame(records.TopicRecord(name="a", topic_id=A)) + b"x"], "offset 0"),
        ([frame(records.RemoveTopicRecord(topic_id=A))], "a RemoveTopicRecord speaks of"),
        ([frame(records.PartitionRecord(topic_id=A))], "a PartitionRecord speaks of"),
        ([frame(records.PartitionChangeRecord(topic_id=A))], "a PartitionChangeRecord speaks of"),
        ([frame(records.ZkMigrationStateRecord(zk_migration_state=2))], "from ZooKeeper yet"),
    ],
)
def test_a_record_that_can_not_be_is_told(log: Path, values: list[bytes], reason: str) -> None:
    kraft.write_log(log, values)
    with pytest.raises(UnreadableMetadataError, match=reason):
        read(log)


# What is planned and written


def write_metadata(node: NodeDirectory, *values: Sequence[bytes]) -> None:
    kraft.write_log(node.metadata, [one for several in values for one in several])


def test_topics_keep_their_ids_partitions_and_configs(node: NodeDirectory) -> None:
    write_metadata(
        node,
        topic("a", A, [(NODE_ID,), (NODE_ID, 9)]),
        [
            config(TOPIC, "a", "cleanup.policy", "compact"),
            config(BROKER, "", "log.retention.ms", "7"),
            config(BROKER, str(NODE_ID), "log.cleaner.threads", "2"),
            config(BROKER, "9", "log.cleaner.threads", "3"),
            frame(records.ProducerIdsRecord(next_producer_id=3000)),
        ],
    )
    node.partition("a-0", A)
    node.partition("a-1", A, epochs=[(0, 0), (9, 1)])
    image = imported(node.path)
    found = image.topics["a"]
    assert (found.topic_id, dict(found.configs)) == (A, {"cleanup.policy": "compact"})
    assert [one.leader_epoch for one in found.partitions] == [5, 10]
    assert {(one.leader, one.replicas, one.isr) for one in found.partitions} == {
        (NODE_ID, (NODE_ID,), (NODE_ID,))
    }
    assert image.broker_configs == {
        "": {"log.retention.ms": "7"},
        str(NODE_ID): {"log.cleaner.threads": "2"},
    }
    assert image.cluster_id == CLUSTER_ID


@pytest.mark.parametrize(
    ("block", "in_snapshot", "first"), [(0, -1, 0), (3000, 17, 3000), (3000, 4711, 4712)]
)
def test_producer_ids_begin_above_every_one_seen(
    node: NodeDirectory, block: int, in_snapshot: int, first: int
) -> None:
    write_metadata(node, topic("a", A), [frame(records.ProducerIdsRecord(next_producer_id=block))])
    node.partition("a-0", A, producer_id=in_snapshot)
    imported(node.path)
    tree = SqliteTree(node.path / METADATA_FILE, SynchronousRuntime())
    assert ProducerIds(tree, NODE_ID).next().result() == first
    tree.close().result()


def test_nothing_but_our_files_is_new(node: NodeDirectory) -> None:
    write_metadata(node, topic("a", A))
    node.partition("a-0", A)
    files = {path: path.read_bytes() for path in node.path.rglob("*") if path.is_file()}
    (node.path / f"{METADATA_FILE}.tmp-wal").write_bytes(b"of an import that was killed")
    plan_of(node.path)
    imported(node.path)
    after = {path: path.read_bytes() for path in node.path.rglob("*") if path.is_file()}
    assert after.items() >= files.items()
    ours = {METADATA_FILE, f"{METADATA_FILE}-reserve", "kstore-imported", ".lock"}
    assert {path.name for path in after.keys() - files.keys()} == ours
    mark = json.loads((node.path / "kstore-imported").read_text())
    assert mark == {"version": 1, "metadata": str(node.path)}


def test_a_directory_is_imported_once(node: NodeDirectory, tmp_path: Path) -> None:
    other = NodeDirectory(tmp_path / "other", B)
    write_metadata(node, topic("a", A))
    node.partition("a-0", A)
    imported(node.path, other.path)
    for path in (node.path, other.path):
        with pytest.raises(StoreError, match="is kstore's already"):
            plan_of(path)


def test_partitions_in_several_directories(node: NodeDirectory, tmp_path: Path) -> None:
    other = NodeDirectory(tmp_path / "other", B)
    own = tmp_path / "metadata"
    write_metadata(node, topic("a", A, [(NODE_ID,)] * 2, directory_id=B))
    node.metadata.rename(NodeDirectory(own, UUID(int=5)).metadata)
    node.partition("a-0", A)
    other.partition("a-1", A)
    plan = plan_of(node.path, other.path, metadata=own)
    assert [(row.topic, row.partitions, row.served) for row in plan.rows] == [("a", 2, 2)]
    assert plan.node.metadata_directory == own
    assert plan.missing == ()
    other.partition("a-0", A)
    with pytest.raises(StoreError, match="a-0 lies both in"):
        plan_of(node.path, other.path, metadata=own)


def test_partitions_that_are_missing_are_named(node: NodeDirectory) -> None:
    write_metadata(node, topic("a", A), topic("b", B, directory_id=B))
    plan = plan_of(node.path)
    assert plan.missing == ("a-0", "b-0 (it lies in a data directory that was not named)")


def test_partitions_of_other_nodes_are_offline(node: NodeDirectory) -> None:
    write_metadata(node, topic("a", A, [(NODE_ID, 9), (9,)]), topic("b", B, [(9,)]))
    behind = records.PartitionChangeRecord(topic_id=A, partition_id=0, isr=[9])
    path = kraft.write_log(node.metadata, [frame(behind)], 5)
    assert path.exists()
    node.partition("a-0", A)
    plan = plan_of(node.path)
    a, b = plan.rows
    assert (a.partitions, a.served, b.partitions, b.served) == (2, 1, 1, 0)
    assert a.note is not None
    assert "1 partitions have no replica on this node" in a.note
    assert "not in sync for partitions 0" in a.note
    away = imported(node.path).topics["a"].partitions[1]
    assert (away.leader, away.replicas) == (-1, (9,))


def test_directories_of_no_topic_are_left_alone(node: NodeDirectory) -> None:
    write_metadata(node, topic("a", A))
    node.partition("a-0", A)
    node.partition("a-1", A)
    node.partition("b-0", B)
    node.partition("c-0.0123456789abcdef0123456789abcdef-stray", B)
    plan = plan_of(node.path)
    assert [(row.topic, row.topic_id, row.served) for row in plan.rows] == [
        ("a", A, 1),
        ("a", None, 0),
        ("b", None, 0),
    ]
    assert any(note.endswith("-stray") for note in plan.notes)
    assert sorted(imported(node.path).topics) == ["a"]


def test_the_directory_of_a_deleted_topic_is_not_taken_for_the_new_one(
    node: NodeDirectory,
) -> None:
    write_metadata(node, topic("a", A))
    node.partition("a-0", B)
    plan = plan_of(node.path)
    assert plan.missing == ("a-0",)
    assert [(row.topic_id, row.served) for row in plan.rows] == [(A, 0), (None, 0)]


def test_configs_that_can_not_be_taken_over_are_named(node: NodeDirectory) -> None:
    write_metadata(
        node,
        topic("a", A),
        topic("b", B),
        [
            config(TOPIC, "a", "segment.bytes", "100"),
            config(TOPIC, "a", "of.a.plugin", "x"),
            config(TOPIC, "a", "retention.ms", "5"),
            config(TOPIC, "b", "cleanup.policy", "archive"),
            config(BROKER, "", "of.a.plugin", "y"),
        ],
    )
    node.partition("a-0", A)
    node.partition("b-0", B)
    plan = plan_of(node.path)
    a, b = plan.rows
    assert a.configs == {"retention.ms": "5"}
    assert a.note == "not taken over: of.a.plugin=x; not taken over: segment.bytes=100"
    assert not a.read_only
    # How long the records of b are to be kept is not understood.
    assert (b.configs, b.read_only) == (READ_ONLY, True)
    assert "not taken over, of all brokers: of.a.plugin=y" in plan.notes


def test_without_metadata_everything_is_read_only(node: NodeDirectory) -> None:
    node.partition("a-0", A, epochs=[(7, 0)])
    node.partition("a-2", A)
    node.partition("b-0", None)
    plan = plan_of(node.path)
    assert plan.node.reason.startswith("there is no __cluster_metadata-0 in")
    assert [(row.topic, row.partitions, row.served, row.read_only) for row in plan.rows] == [
        ("a", 3, 2, True),
        ("b", 1, 1, True),
    ]
    image = imported(node.path)
    assert {name: dict(one.configs) for name, one in image.topics.items()} == {
        "a": READ_ONLY,
        "b": READ_ONLY,
    }
    assert image.topics["a"].topic_id == A
    assert [one.leader for one in image.topics["a"].partitions] == [NODE_ID, -1, NODE_ID]
    assert image.topics["a"].partitions[0].leader_epoch == 8


def test_without_metadata_two_topics_of_one_name_are_none(node: NodeDirectory) -> None:
    node.partition("a-0", A)
    node.partition("a-1", B)
    node.partition("nö-0", B)
    node.partition("b-99999999999", B)
    assert [(row.topic, row.served) for row in plan_of(node.path).rows] == [
        ("a", 0),
        ("b", 0),
        ("nö", 0),
    ]


def test_metadata_that_are_damaged_say_why(node: NodeDirectory) -> None:
    kraft.write_log(node.metadata, [b"\x05"])
    node.partition("a-0", A)
    plan = plan_of(node.path)
    assert "the frame version 5 is not known" in plan.node.reason
    assert plan.rows[0].read_only


def test_a_directory_that_was_not_closed_is_told(node: NodeDirectory) -> None:
    write_metadata(node, topic("a", A))
    node.partition("a-0", A)
    node.closed.unlink()
    assert any("was not closed cleanly" in note for note in plan_of(node.path).notes)


# What is refused


def test_what_is_no_directory_of_kafka_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StoreError, match="is no data directory of Kafka"):
            plan_of(path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_zookeeper_times_is_refused(node: NodeDirectory) -> None:
    (node.path / "meta.properties").write_text(
        f"version=0\nbroker.id={NODE_ID}\ncluster.id={CLUSTER_ID}\n"
    )
    with pytest.raises(StoreError, match="a Kafka with ZooKeeper"):
        plan_of(node.path)


def test_records_of_an_old_format_are_refused(node: NodeDirectory) -> None:
    directory = node.partition("a-0", A)
    (directory / "00000000000000000000.log").write_bytes(
        b"\0" * 11 + b"\x20" + b"\0" * 4 + b"\1" + b"\0" * 20
    )
    with pytest.raises(StoreError, match="a format older than that of Kafka 0"):
        plan_of(node.path)


def test_zeros_are_no_old_format(node: NodeDirectory) -> None:
    (node.partition("a-0", A) / "00000000000000000000.log").write_bytes(b"\0" * 40)
    assert plan_of(node.path).rows[0].served == 1


def test_directories_of_two_nodes_are_refused(node: NodeDirectory, tmp_path: Path) -> None:
    other = NodeDirectory(tmp_path / "other")
    meta = other.path / "meta.properties"
    meta.write_text(meta.read_text().replace(f"node.id={NODE_ID}", "node.id=8"))
    with pytest.raises(StoreError, match=f"is of node 8 of cluster {CLUSTER_ID}, .* of node 3"):
        plan_of(node.path, other.path)


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a" * 250])
def test_a_name_that_would_leave_the_directory_is_refused(node: NodeDirectory, name: str) -> None:
    write_metadata(node, topic(name, A))
    with pytest.raises(StoreError, match="can't be right"):
        plan_of(node.path)


def test_metadata_that_lack_a_partition_are_refused(node: NodeDirectory) -> None:
    last = records.PartitionRecord(partition_id=7, topic_id=A, replicas=[3], isr=[3], leader=3)
    write_metadata(node, [*topic("a", A), frame(last)])
    with pytest.raises(StoreError, match="lack partitions of the topic a"):
        plan_of(node.path)
