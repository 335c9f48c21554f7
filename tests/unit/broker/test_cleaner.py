"""The cleaner's choice of logs, what it does about damage, and its limit of speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.cleaner import Cleaner, Throttle
from kstore.broker.partitions import Partitions
from kstore.configs import LogConfig, Settings, load
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime
from tests.support.damage import patch
from tests.support.logs import open_store


class Part:
    """A partition as far as the cleaner looks at it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.last_stable_offset = log.log_end_offset


class Written:
    """Checkpoints that count how often they were asked for."""

    def __init__(self) -> None:
        self.count = 0

    def write(self) -> Later[Any]:
        self.count += 1
        return Later.of(set())


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def store(tmp_path: Path, runtime: ManualRuntime) -> Iterator[Store]:
    with open_store(tmp_path / "data", runtime=runtime) as store:
        yield store
        runtime.run_workers()


def dirty(store: Store, topic: str, count: int, policy: str = "compact") -> Part:
    log = store.create(topic, config=LogConfig(cleanup_policy=frozenset({policy})))
    for number in range(count):
        log.append_records([(b"key", b"%d" % number)])
        log.roll()
    return Part(log)


def cleaner_of(
    runtime: ManualRuntime, parts: list[Part], **settings: str
) -> tuple[Cleaner, Written]:
    written = Written()
    found: Settings = load({name.replace("_", "."): value for name, value in settings.items()})
    cleaner = Cleaner(runtime, cast(Partitions, parts), cast(Checkpoints, written), lambda: found)
    cleaner.start()
    return cleaner, written


def test_one_after_the_other_until_nothing_is_dirty(store: Store, runtime: ManualRuntime) -> None:
    parts = [dirty(store, "a", 2), dirty(store, "b", 5), dirty(store, "c", 3, "delete")]
    runtime.run_workers()
    cleaner, written = cleaner_of(runtime, parts, log_cleaner_backoff_ms="100")
    assert not any(part.log.compaction for part in parts)
    runtime.advance(100)
    assert sum(part.log.compaction is not None for part in parts) == 1
    runtime.run_workers()
    assert [len(list(part.log.records())) for part in parts] == [1, 1, 3]
    assert written.count == 2
    cleaner.close()


def test_a_damaged_log_is_left_alone(store: Store, runtime: ManualRuntime) -> None:
    parts = [dirty(store, "a", 3), dirty(store, "b", 3)]
    runtime.run_workers()
    patch(parts[0].log.segments[1].path, 67, b"??")
    cleaner, _ = cleaner_of(runtime, parts, log_cleaner_backoff_ms="100")
    for _ in range(3):
        runtime.advance(100)
        runtime.run_workers()
    assert len(parts[0].log.segments) == 4
    assert len(list(parts[1].log.records())) == 1
    assert parts[0].log.failed is None
    cleaner.close()


def test_it_can_be_switched_off(store: Store, runtime: ManualRuntime) -> None:
    part = dirty(store, "a", 3)
    runtime.run_workers()
    cleaner_of(runtime, [part], log_cleaner_enable="false")
    runtime.advance(60_000)
    assert len(part.log.segments) == 4


def test_closing_ends_what_is_under_way(store: Store, runtime: ManualRuntime) -> None:
    part = dirty(store, "a", 3)
    runtime.run_workers()
    cleaner, _ = cleaner_of(runtime, [part])
    runtime.advance(15_000)
    assert part.log.compaction is not None
    cleaner.close()
    runtime.run_workers()
    assert part.log.compaction is None
    assert len(list(part.log.records())) == 3


def test_the_limit_of_speed(runtime: ManualRuntime) -> None:
    throttle = Throttle(runtime, lambda: 1000.0)
    assert throttle(500) == pytest.approx(0.5)
    assert throttle(500) == pytest.approx(1.0)
    runtime.advance(5000)
    assert throttle(100) == pytest.approx(0.1)
    assert Throttle(runtime, lambda: 1.7e308)(1 << 40) == 0
