"""A broker in this process: its own thread and loop, a free port, a directory of its own.

`stop` is a clean stop and leaves no thread, no open file and, if the directory was ours, no file.
Start and stop may be called from any thread but the broker's own.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from kstore_server.server import Server

__all__ = ["BrokerThread"]

T = TypeVar("T")

TEST_SETTINGS = {
    "listeners": "PLAINTEXT://127.0.0.1:0",
    # A test's group is complete when it says so; nobody else will join within three seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "offsets.topic.num.partitions": "1",
}
"""What differs from a broker's defaults, for the sake of speed."""


class BrokerThread:
    """A running broker, as a context manager or with `start` and `stop`.

    `data_dir` is kept if given, else a temporary directory is made and removed. `settings` are
    Kafka's config names with their values as text.
    """

    def __init__(
        self, data_dir: str | Path | None = None, settings: dict[str, str] | None = None
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if data_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="kstore-")
            data_dir = self._temporary.name
        self.data_dir = Path(data_dir)
        self._settings = {**TEST_SETTINGS, "log.dirs": str(self.data_dir), **(settings or {})}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._server: Server | None = None
        self._error: BaseException | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, for a client's `bootstrap.servers`. Raises RuntimeError when not running."""
        if self._server is None:
            raise RuntimeError("the broker is not running")
        return self._server.address

    def start(self) -> BrokerThread:
        """Returns when clients are accepted; raises what kept the broker from starting."""
        if self._thread is not None:
            raise RuntimeError("the broker is running already")
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="kstore-broker")
        self._thread.start()
        ready.wait()
        if self._error is not None:
            error, self._error = self._error, None
            self._join()
            self._remove_directory()
            raise error
        return self

    def stop(self) -> None:
        """Stops cleanly and waits for it; idempotent. Raises what went wrong in the broker."""
        if self._thread is not None:
            assert self._loop is not None
            assert self._stopping is not None
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._join()
        self._remove_directory()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def restart(self) -> None:
        """A clean stop and a new start on the same port and directory."""
        address = self.bootstrap_servers
        temporary, self._temporary = self._temporary, None
        try:
            self.stop()
        finally:
            self._temporary = temporary
        self._settings["listeners"] = f"PLAINTEXT://{address}"
        self.start()

    def call(self, look: Callable[[Server], T]) -> T:
        """What `look(server)` gives or raises, on the broker's own thread: for tests that look
        inside. Raises RuntimeError when the broker is not running."""
        if self._loop is None or self._server is None:
            raise RuntimeError("the broker is not running")
        server = self._server
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(look(server))
            except BaseException as error:
                outcome.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return outcome.result()

    def __enter__(self) -> BrokerThread:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        self._server = None

    def _remove_directory(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _run(self, ready: threading.Event) -> None:
        from kstore_server.main import new_runner

        try:
            with new_runner() as runner:
                runner.run(self._serve(ready))
        except BaseException as error:
            self._error = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        from kstore.configs import load
        from kstore.errors import StoreError
        from kstore_server.server import Server

        server = Server(load(self._settings))
        await server.start()
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._server = server
        ready.set()
        lost = server.broker.log_dirs.lost
        stopping = self._stopping
        lost.then(lambda _: stopping.set())
        try:
            await stopping.wait()
            if lost.done:
                raise StoreError(lost.result())
        finally:
            await server.stop()
