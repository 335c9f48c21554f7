"""asyncio's clock, timers and worker threads as a `kstore.runtime.Runtime`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from kstore.runtime import Later, Timer

__all__ = ["AsyncioRuntime"]

T = TypeVar("T")


class AsyncioRuntime:
    """One loop and worker threads. Made on the loop; `close` waits for the workers.

    Workers mostly wait for a disk, above all in syncs, of which those of different partitions run
    side by side: hence more threads than processors. One is made only when none is idle.
    """

    def __init__(self, worker_count: int = 16) -> None:
        self._loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(worker_count, thread_name_prefix="kstore-worker")
        self._working_count = 0
        self._nothing_runs = asyncio.Event()

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return self._loop.time() * 1000

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._loop.call_soon(callback, *args)

    def call_on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *args)

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        return self._loop.call_later(delay_ms / 1000, callback, *args)

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        later: Later[T] = Later()
        self._working_count += 1

        def run() -> None:
            try:
                value = work()
            except Exception as error:
                self._loop.call_soon_threadsafe(self._worked, later.fail, error)
            else:
                self._loop.call_soon_threadsafe(self._worked, later.complete, value)

        self._workers.submit(run)
        return later

    def _worked(self, finish: Callable[[Any], None], outcome: Any) -> None:
        finish(outcome)
        self._working_count -= 1
        if not self._working_count:
            self._nothing_runs.set()

    async def idle(self) -> None:
        """Returns when no work is in a worker, nor what its results have led to."""
        while self._working_count:
            self._nothing_runs.clear()
            await self._nothing_runs.wait()

    async def wait(self, later: Later[T]) -> T:
        """The value of a `Later`, for the few coroutines that start and stop the server."""
        future: asyncio.Future[T] = self._loop.create_future()

        def transfer(done: Later[T]) -> None:
            if future.cancelled():
                return
            if done.error is not None:
                future.set_exception(done.error)
            else:
                future.set_result(done.result())

        later.then(transfer)
        return await future

    def close(self) -> None:
        self._workers.shutdown(wait=True)
