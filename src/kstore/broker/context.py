"""What a handler knows besides its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kstore.broker.broker import Broker

__all__ = ["Connection", "RequestContext", "Waiting"]


class Waiting(Protocol):
    """Something that waits on behalf of a connection."""

    def abandon(self) -> None:
        """The connection is gone: free what is held, answer nobody."""


class Connection:
    """One client's connection as the broker sees it. `close` tells those who wait for it."""

    __slots__ = ("client_host", "client_port", "closed", "identity", "waiting")

    def __init__(self, client_host: str, client_port: int, identity: str) -> None:
        self.client_host = client_host
        self.client_port = client_port
        self.identity = identity
        """For the log: who this is."""
        self.waiting: set[Waiting] = set()
        self.closed = False

    def close(self) -> None:
        self.closed = True
        waiting, self.waiting = self.waiting, set()
        for waiter in waiting:
            waiter.abandon()


class RequestContext:
    """Who asked, in which version, and the broker to ask."""

    __slots__ = ("api_version", "broker", "client_id", "connection", "correlation_id")

    def __init__(
        self,
        broker: Broker,
        connection: Connection,
        api_version: int,
        correlation_id: int,
        client_id: str | None,
    ) -> None:
        self.broker = broker
        self.connection = connection
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id

    @property
    def client_host(self) -> str:
        return self.connection.client_host
