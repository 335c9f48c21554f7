"""What concerns every partition takes the loop a little at a time, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from kstore.broker.broker import Broker
from kstore.broker.checkpoints import Checkpoints
from kstore.broker.cleaner import Cleaner
from kstore.broker.partitions import Partitions
from kstore.broker.turns import in_turns
from kstore.broker.upkeep import Upkeep
from kstore.configs import LogConfig, load
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime

COUNT = 1000


class SlowClock(ManualRuntime):
    """Each look at the clock finds it 0.1 ms later; what is done between two turns is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self.turns += 1
        super().call_soon(callback, *args)

    def monotonic_ms(self) -> float:
        self._now_ms += 0.1
        return super().monotonic_ms()


class Producers:
    def __init__(self) -> None:
        self.expired_at: list[int] = []

    def expire(self, now_ms: int) -> None:
        self.expired_at.append(now_ms)


class Segments(list[object]):
    """Three that are there, and who has asked for them."""

    def all(self) -> list[object]:
        raise OSError(5, "looked at")


class FakeLog:
    """A log as far as the cleaner and the expiry of producers look at it."""

    def __init__(self, policy: str) -> None:
        self.config = LogConfig(cleanup_policy=frozenset({policy}))
        self.segments = Segments([1, 2, 3])
        self.producers = Producers()
        self.compaction = self.failed = None
        self.closed = False
        self.looked_at = 0

    def disk_error(self, error: OSError, doing: str) -> None:
        self.looked_at += 1


class FakePartition:
    def __init__(self, policy: str = "compact") -> None:
        self.log = FakeLog(policy)
        self.last_stable_offset = 0


def test_the_steps_of_a_turn_are_few() -> None:
    runtime = SlowClock()
    done: list[int] = []
    ends: list[int] = []

    def steps() -> Iterator[None]:
        for number in range(COUNT):
            done.append(number)
            yield

    later = in_turns(runtime, steps(), after_turn=lambda: ends.append(len(done)))
    assert len(done) <= 11
    assert not later.done
    runtime.run_soon()
    assert later.done
    assert done == list(range(COUNT))
    assert max(b - a for a, b in zip([0, *ends], ends, strict=False)) <= 11
    assert ends[-1] == COUNT


def test_a_step_that_fails_ends_them() -> None:
    def steps() -> Iterator[None]:
        yield
        raise KeyError("step")

    later = in_turns(ManualRuntime(), steps())
    with pytest.raises(KeyError):
        later.result()


def test_a_look_of_the_cleaner() -> None:
    runtime = SlowClock()
    parts = [FakePartition() for _ in range(COUNT)]
    parts += [FakePartition("delete") for _ in range(COUNT)]
    settings = load({"log.cleaner.backoff.ms": "1000000"})
    cleaner = Cleaner(runtime, cast(Partitions, parts), cast(Checkpoints, None), lambda: settings)
    cleaner.start()
    cleaner._tick()
    assert 0 < sum(part.log.looked_at for part in parts) <= 11
    cleaner._tick()  # one look at a time
    runtime.run_soon()
    assert [part.log.looked_at for part in parts] == [1] * COUNT + [0] * COUNT
    assert runtime.turns >= 2 * COUNT / 11
    cleaner.close()


def test_a_look_of_the_cleaner_ends_with_it() -> None:
    runtime = SlowClock()
    parts = [FakePartition() for _ in range(COUNT)]
    settings = load({})
    cleaner = Cleaner(runtime, cast(Partitions, parts), cast(Checkpoints, None), lambda: settings)
    cleaner._begin_some()
    cleaner.close()
    runtime.run_soon()
    assert sum(part.log.looked_at for part in parts) <= 11


class FakeBroker:
    def __init__(self, runtime: ManualRuntime, partitions: list[FakePartition]) -> None:
        self.runtime = runtime
        self.partitions = partitions


def test_producers_expire_in_turns() -> None:
    runtime = SlowClock()
    parts = [FakePartition() for _ in range(COUNT)]
    Upkeep(cast(Broker, FakeBroker(runtime, parts))).expire_producers()
    assert 0 < sum(len(part.log.producers.expired_at) for part in parts) <= 11
    runtime.run_soon()
    assert all(len(part.log.producers.expired_at) == 1 for part in parts)


class FakeDirs:
    def __init__(self) -> None:
        self.written: list[dict[tuple[str, int], int]] = []

    def checkpoint(self, high_watermarks: dict[tuple[str, int], int]) -> set[object]:
        self.written.append(high_watermarks)
        return set()


class Counted:
    """A partition that tells who asks for its high watermark."""

    topic = "t"

    def __init__(self, index: int) -> None:
        self.index = index
        self.asked = 0

    @property
    def high_watermark(self) -> int:
        self.asked += 1
        return self.index


def test_a_checkpoint_goes_through_the_partitions_in_a_worker() -> None:
    runtime = ManualRuntime()
    parts = [Counted(index) for index in range(COUNT)]
    dirs = FakeDirs()
    checkpoints = Checkpoints(runtime, cast(Any, dirs), cast(Partitions, parts))
    done: Later[set[Any]] = checkpoints.write()
    assert not any(part.asked for part in parts)
    runtime.run_workers()
    assert done.result() == set()
    assert dirs.written == [{("t", index): index for index in range(COUNT)}]
