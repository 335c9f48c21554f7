"""The listening socket, the connections behind it, and their limits. Thread: the loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from heapq import nsmallest

from kstore.broker.dispatch import Dispatcher
from kstore.configs import NetworkConfig
from kstore.runtime import Runtime
from kstore_server import descriptors
from kstore_server.connection import ClientConnection

__all__ = ["Listener"]

log = logging.getLogger("kstore.listener")

RECEIVE_BUFFER_SIZE = 256 << 10
BACKLOG = 1024


class Listener:
    """Accepts clients on one socket. All its connections receive into one buffer."""

    def __init__(self, runtime: Runtime, dispatcher: Dispatcher, config: NetworkConfig) -> None:
        self.loop = asyncio.get_running_loop()
        self.runtime = runtime
        self.dispatcher = dispatcher
        self.config = config
        self.receive_buffer = bytearray(RECEIVE_BUFFER_SIZE)
        self._connections: set[ClientConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._per_host: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serves the bound `sockets`, which are closed with the listener."""
        for listening in sockets:
            self._servers.append(
                await self.loop.create_server(
                    lambda: ClientConnection(self), sock=listening, backlog=BACKLOG
                )
            )
        if self.config.connections_max_idle_ms >= 0:
            self._schedule_sweep()

    async def close(self) -> None:
        """Stops accepting and ends every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.close("the broker stops")
        await self._empty.wait()  # each connection ends in a callback of its own
        for server in self._servers:
            await server.wait_closed()

    def reconfigure(self, config: NetworkConfig) -> None:
        """Other limits. Of connections that are too many in all now, the least recently used are
        closed (KIP-402); of those from one address none are."""
        self.config = config
        excess = len(self._connections) - config.max_connections
        for connection in nsmallest(excess, self._connections, key=lambda one: one.last_used_ms):
            connection.close(f"max.connections is {config.max_connections} now")

    def register(self, connection: ClientConnection, descriptor: int) -> str | None:
        """Counts a connection in; a text says why it is refused."""
        host = connection.client.client_host
        self._connections.add(connection)
        self._empty.clear()
        self._per_host[host] += 1
        if len(self._connections) > self.config.max_connections:
            return f"max.connections is {self.config.max_connections}"
        if self._per_host[host] > self.config.max_connections_per_ip:
            return f"max.connections.per.ip is {self.config.max_connections_per_ip}"
        if descriptors.kept_for_files(descriptor):
            return "the rest of the open files that the system allows is kept for the log"
        return None

    def unregister(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        host = connection.client.client_host
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]

    def _schedule_sweep(self) -> None:
        delay_ms = max(10.0, min(self.config.connections_max_idle_ms / 4, 30_000.0))
        self._sweep = self.loop.call_later(delay_ms / 1000, self._close_idle)

    def _close_idle(self) -> None:
        oldest_ms = self.runtime.monotonic_ms() - self.config.connections_max_idle_ms
        for connection in tuple(self._connections):
            if connection.is_idle_since(oldest_ms):
                connection.close("idle for connections.max.idle.ms")
        self._schedule_sweep()
