"""The one interface to time and threads.

Rooms that decide never ask the operating system for the time, start a thread or sleep: they are
given a `Runtime`. The server gives asyncio's, tests a manual one (`kstore.testing.manual`), and
`kstore.open()` the synchronous one at the end of this file.

All callbacks run on one thread, "the loop"; only `work` of `run_in_worker` runs elsewhere.
A `Later` is completed and observed on the loop only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Later", "Runtime", "SynchronousRuntime", "Timer"]

log = logging.getLogger("kstore.runtime")

T = TypeVar("T")
U = TypeVar("U")


class Later(Generic[T]):
    """A value, or an error, that comes exactly once.

    `then` calls back at once if the value is there already, else when it comes. Completing a
    `Later` twice is a fault of the caller and raises. A callback that raises is logged: it costs
    neither the other callbacks their call nor the caller who completes.
    """

    __slots__ = ("_callbacks", "_error", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Later[T]], None]] = []

    @classmethod
    def of(cls, value: T) -> Later[T]:
        """A `Later` that is complete already."""
        later: Later[T] = cls()
        later.complete(value)
        return later

    @classmethod
    def failed(cls, error: BaseException) -> Later[T]:
        """A `Later` that has failed already."""
        later: Later[T] = cls()
        later.fail(error)
        return later

    def complete(self, value: T) -> None:
        self._finish(value, None)

    def fail(self, error: BaseException) -> None:
        self._finish(None, error)

    def _finish(self, value: T | None, error: BaseException | None) -> None:
        if self.done:
            raise RuntimeError("a Later is completed only once")
        self.done = True
        self._value = value
        self._error = error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("a callback failed")

    @property
    def error(self) -> BaseException | None:
        return self._error

    def result(self) -> T:
        """The value; raises the error if it failed, RuntimeError if it is not there yet."""
        if not self.done:
            raise RuntimeError("this Later has no value yet")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def then(self, callback: Callable[[Later[T]], None]) -> None:
        """Calls `callback(self)` once the value or the error is there."""
        if self.done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def follow(self, source: Later[T]) -> None:
        """Becomes what `source`, which is done, has become."""
        if source.error is not None:
            self.fail(source.error)
        else:
            self.complete(source.result())

    def map(self, function: Callable[[T], U]) -> Later[U]:
        """A `Later` of `function(value)`; errors, also those of `function`, pass through."""
        mapped: Later[U] = Later()

        def transfer(source: Later[T]) -> None:
            try:
                value = function(source.result())
            except Exception as error:
                mapped.fail(error)
            else:
                mapped.complete(value)

        self.then(transfer)
        return mapped

    def chain(self, function: Callable[[T], Later[U]]) -> Later[U]:
        """A `Later` of what the `Later` of `function(value)` comes to; errors pass through."""
        chained: Later[U] = Later()

        def begin(source: Later[T]) -> None:
            try:
                following = function(source.result())
            except Exception as error:
                chained.fail(error)
            else:
                following.then(chained.follow)

        self.then(begin)
        return chained

    @staticmethod
    def all(laters: list[Later[U]]) -> Later[list[Later[U]]]:
        """A `Later` of the same list, complete once every one of `laters` is done."""
        gathered: Later[list[Later[U]]] = Later()
        missing = len(laters)
        if not missing:
            gathered.complete(laters)

        def count_down(_: Later[U]) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                gathered.complete(laters)

        for later in laters:
            later.then(count_down)
        return gathered


class Timer(Protocol):
    """A callback that is yet to come."""

    def cancel(self) -> None:
        """Forgets the callback; harmless if it has run."""


class Runtime(Protocol):
    """Clock, timers and workers."""

    def time_ms(self) -> int:
        """The wall clock in milliseconds since 1970: what timestamps in records mean."""

    def monotonic_ms(self) -> float:
        """A clock that never goes back, for measuring time spans."""

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Calls back on the loop, after what runs now. Only to be called on the loop."""

    def call_on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        """Calls back on the loop, soon. Any thread may call this."""

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Calls back on the loop after `delay_ms`."""

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        """Runs `work` in a worker thread; the `Later` is completed on the loop."""


class _NoTimer:
    def cancel(self) -> None:
        pass


class SynchronousRuntime:
    """The runtime of an embedded store: no loop and no threads.

    Work runs at once in the caller's thread. Timers never fire: an embedded store has nobody who
    would wait for them, and its owner calls `flush` and `close`.
    """

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic_ns() / 1_000_000

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        callback(*args)

    def call_on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        callback(*args)

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        return _NoTimer()

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        try:
            return Later.of(work())
        except Exception as error:
            return Later.failed(error)
