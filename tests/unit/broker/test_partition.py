"""The order of a partition's batches while workers compress some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kstore.broker.partition import Partition
from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Appended
from kstore.log.records import build_batch
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.runtime import Later, SynchronousRuntime

NOW_MS = 1_700_000_000_000


class Workers(SynchronousRuntime):
    """Work is done when the test says so, in the order it likes."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Later[Any]]] = []

    def time_ms(self) -> int:
        return NOW_MS

    def run_in_worker(self, work: Callable[[], Any]) -> Later[Any]:
        done: Later[Any] = Later()
        self.waiting.append((work, done))
        return done

    def finish(self, number: int) -> None:
        work, done = self.waiting[number]
        try:
            value = work()
        except KafkaError as error:
            done.fail(error)
        else:
            done.complete(value)


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    store = Store.open(tmp_path / "data", config=LogConfig(compression_type="zstd"))
    try:
        log = store.create("topic", 0, config=LogConfig(compression_type="zstd"))
        yield Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
    finally:
        store.close()


def batch(value: bytes, codec: str) -> memoryview:
    return memoryview(build_batch([(b"key", value)], compression=codec, timestamp_ms=NOW_MS))


def produce(partition: Partition, workers: Workers, value: bytes, codec: str) -> Later[Appended]:
    appended = partition.produce(batch(value, codec), NOW_MS, workers)
    assert isinstance(appended, Later)
    return appended


def values(partition: Partition) -> list[bytes | None]:
    return [record.value for record in partition.log.records()]


def test_batches_wait_for_those_before_them(partition: Partition) -> None:
    workers = Workers()
    first = produce(partition, workers, b"1", "none")
    second = produce(partition, workers, b"2", "zstd")  # needs no worker, but its turn
    third = produce(partition, workers, b"3", "gzip")
    assert len(workers.waiting) == 2
    workers.finish(1)
    assert values(partition) == []
    workers.finish(0)
    assert values(partition) == [b"1", b"2", b"3"]
    assert [later.result().base_offset for later in (first, second, third)] == [0, 1, 2]
    assert {header.codec for header in partition.log.batches()} == {4}
    assert partition.high_watermark == 3


def test_nothing_waits_when_nothing_is_compressed(partition: Partition) -> None:
    appended = partition.produce(batch(b"1", "zstd"), NOW_MS, Workers())
    assert isinstance(appended, Appended)
    partition.log.reconfigure(LogConfig())
    appended = partition.produce(batch(b"2", "gzip"), NOW_MS, Workers())
    assert isinstance(appended, Appended)
    assert values(partition) == [b"1", b"2"]


def test_one_that_fails_holds_up_nobody(partition: Partition) -> None:
    workers = Workers()
    first = produce(partition, workers, b"1", "none")
    second = produce(partition, workers, b"2", "none")
    _, done = workers.waiting[0]
    done.fail(KafkaError(ErrorCode.CORRUPT_MESSAGE))
    assert isinstance(first.error, KafkaError)
    workers.finish(1)
    assert second.result().base_offset == 0
    assert values(partition) == [b"2"]


def test_a_batch_that_must_not_be_appended_is_refused_at_once(partition: Partition) -> None:
    broken = bytearray(batch(b"1", "none"))
    broken[-1] ^= 1
    with pytest.raises(KafkaError) as caught:
        partition.produce(memoryview(broken), NOW_MS, Workers())
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE
