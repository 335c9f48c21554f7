"""A broker that serves: everything opened in order, and closed in the reverse order.

Used by the process (`main`) and by the broker inside a test (`kstore.testing.broker`). Both run it
on a loop of theirs: `await start()`, then `await stop()`, which is harmless if start failed half
way. Order of opening: the address, so that a port in use is told before anything is touched; the
data directory and its lock; the tree; the logs; the partitions; the doors.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from kstore.broker.broker import Broker
from kstore.broker.dispatch import Dispatcher
from kstore.broker.upkeep import Upkeep
from kstore.configs import (
    Listener as Address,
)
from kstore.configs import (
    Settings,
    advertised_listeners,
    data_directory,
    listeners,
    log_config,
    network_config,
)
from kstore.errors import StoreError
from kstore.log.store import Store
from kstore.metadata.brokers import register_broker
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.sqlite_tree import SqliteTree
from kstore.metadata.topics import Topics

from kstore_server.listener import Listener
from kstore_server.runtime import AsyncioRuntime

__all__ = ["Server"]

log = logging.getLogger("kstore.server")


class Server:
    """One broker and its listener."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = AsyncExitStack()
        self.directory = Path(data_directory(settings))
        self.host = ""
        self.port = 0
        self.node_id = 0
        self.cluster_id = ""

    @property
    def address(self) -> str:
        """Where it listens: `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Opens everything and accepts clients. StoreError, with one line, if that can't be."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes everything; what was acknowledged is on disk and marked as cleanly closed."""
        await self._opened.aclose()

    async def _start(self) -> None:
        settings = self._settings
        runtime = AsyncioRuntime()
        self._opened.callback(runtime.close)
        sockets = self._bind(listeners(settings)[0])

        self.directory.mkdir(parents=True, exist_ok=True)
        lock = Store.lock(self.directory)
        self._opened.callback(lock.release)
        tree = await runtime.wait(
            SqliteTree.open(self.directory / "kstore-metadata.sqlite", runtime)
        )
        self._opened.push_async_callback(lambda: runtime.wait(tree.close()))
