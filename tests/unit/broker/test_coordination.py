"""The coordinator's log on a partition: what a load reads of it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from kstore.broker.coordination import OFFSETS_TOPIC, GroupLog
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode, KafkaError
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.testing.manual import ManualRuntime


def test_a_load_holds_each_key_once_however_often_it_was_written(tmp_path: Path) -> None:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime) as store:
        log = store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1))
        partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
        partitions = Partitions()
        partitions.add(partition)
        group_log = GroupLog(runtime, partitions)
        for number in range(100):
            assert group_log.append(0, [(b"often", b"%d" % number)]).result() == number + 1
        group_log.append(0, [(b"once", b"1"), (b"gone", b"1"), (b"often", b"last")])
        group_log.append(0, [(b"gone", None)])
        newest = group_log.read_newest(partition)
        runtime.run_workers()
        assert newest.result() == [(b"once", b"1"), (b"often", b"last"), (b"gone", None)]


def test_groups_of_a_log_that_has_failed_are_not_taken_for_none(tmp_path: Path) -> None:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime) as store:
        log = store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1))
        partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
        log.fail(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk"))
        newest = GroupLog(runtime, Partitions()).read_newest(partition)
        runtime.run_workers()
        assert isinstance(newest.error, KafkaError)
