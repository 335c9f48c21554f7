"""Loading all logs of a data directory: recovery of many segments at a time, and how far it is.

First every directory is looked through, and a log of which nothing has to be recovered is open
then. All segments that have to be recovered, of whichever log, are shared out to the threads, the
largest first; who recovers the last one of a log finishes it. Work of over two seconds is told of
in the log every two seconds. What is wrong with one log is that log's alone.

There is no loop yet to hand work to, nor when the logs are closed again, so this is the one place
with threads of its own. Runs on the thread that opens or closes the store. Source: Kafka's
LogManager.loadLogs, LogManager.shutdown.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from kstore.errors import KafkaError, StoreError
from kstore.log.loading import LogLoad
from kstore.log.segment import Segment
from kstore.log.state import LogState

__all__ = ["load_all", "share_out"]

logger = logging.getLogger("kstore.log")

T = TypeVar("T")
_Failed = Callable[[LogState, Exception], None]

PATIENCE_S = 2.0
"""How long nothing is said, and how often something then."""
_MEGABYTE = 1e6


def load_all(directory: Path, loads: Sequence[LogLoad], *, threads: int, failed: _Failed) -> None:
    """Opens the logs of `directory`. Of one that can't be opened `failed` is told; any thread."""
    started_s = time.monotonic()
    startup = _Startup(loads, failed)
    share_out(
        startup.look,
        loads,
        threads,
        lambda: logger.info(
            "loading %s: %d of %d partitions", directory, startup.looked_at, len(loads)
        ),
    )
    segments = startup.segments()
    if not segments:
        return
    size = sum(segment.size for _, segment in segments)

    def tell(word: str) -> None:
        logger.info(
            "%s %s: %.0f of %.0f MB, %d of %d segments, %d partitions, %.2f s",
            word,
            directory,
            startup.recovered_size / _MEGABYTE,
            size / _MEGABYTE,
            startup.recovered_count,
            len(segments),
            len({load for load, _ in segments}),
            time.monotonic() - started_s,
        )

    share_out(startup.recover, segments, threads, lambda: tell("recovering"))
    tell("recovered")


class _Startup:
    """What is done so far; the methods are for any thread."""

    def __init__(self, loads: Iterable[LogLoad], failed: _Failed) -> None:
        self.looked_at = 0
        self.recovered_size = 0
        self.recovered_count = 0
        self._loads = loads
        self._failed = failed
        self._failures: set[LogLoad] = set()
        self._left: dict[LogLoad, int] = {}
        self._lock = threading.Lock()

    def look(self, load: LogLoad) -> None:
        self._try(load, load.find)
        if load.unclean:
            self._left[load] = len(load.unclean)
        else:
            self._finish(load)
        self.looked_at += 1

    def segments(self) -> list[tuple[LogLoad, Segment]]:
        """What has to be recovered, the largest first."""
        found = [(load, one) for load in self._loads for one in load.unclean]
        return sorted(found, key=lambda item: item[1].size, reverse=True)

    def recover(self, item: tuple[LogLoad, Segment]) -> None:
        load, segment = item
        if load not in self._failures:
            self._try(load, lambda: load.recover(segment, self._told))
        with self._lock:
            self.recovered_count += 1
            self._left[load] -= 1
            is_last = not self._left[load]
        if is_last:
            self._finish(load)

    def _told(self, size: int) -> None:
        with self._lock:
            self.recovered_size += size

    def _finish(self, load: LogLoad) -> None:
        if load not in self._failures:
            self._try(load, load.finish)

    def _try(self, load: LogLoad, step: Callable[[], None]) -> None:
        try:
            step()
        except (OSError, ValueError, StoreError, KafkaError) as error:
            self._failures.add(load)
            self._failed(load.log, error)


def share_out(
    work: Callable[[T], None], items: Iterable[T], threads: int, tell: Callable[[], None]
) -> None:
    """Has `threads` threads do `work` for each of the items; `tell` is called now and then.

    After an error no further item is begun, and it is raised.
    """
    rest = deque(items)

    def take_some() -> None:
        while rest:
            try:
                item = rest.popleft()
            except IndexError:
                return  # another thread took it
            try:
                work(item)
            except BaseException:
                rest.clear()
                raise

    count = min(threads, len(rest))
    if not count:
        return
    with ThreadPoolExecutor(count, thread_name_prefix="kstore-load") as pool:
        taking = [pool.submit(take_some) for _ in range(count)]
        while wait(taking, PATIENCE_S).not_done:
            tell()
    for done in taking:
        done.result()
