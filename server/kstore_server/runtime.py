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
    """One loop and a few worker threads. Made on the loop; `close` waits for the workers."""

    def __init__(self, worker_count: int = 4) -> None:
        self._loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(worker_count, thread_name_prefix="kstore-worker")

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return self._loop.time() * 1000

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._loop.call_soon(callback, *args)

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        return self._loop.call_later(delay_ms / 1000, callback, *args)

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        later: Later[T] = Later()

        def run() -> None:
            try:
                value = work()
            except Exception as error:
                self._loop.call_soon_threadsafe(later.fail, error)
            else:
                self._loop.call_soon_threadsafe(later.complete, value)

        self._workers.submit(run)
        return later

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
