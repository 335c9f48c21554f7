"""A cluster as `kstore.cli.wire_client` asks it: any broker, or a certain one. Main thread only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypeVar

from kstore.cli.errors import CommandError
from kstore.cli.properties import timeout_of
from kstore.cli.wire_client import WireClient
from kstore.wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
)
from kstore.wire.schema import Request, Response

__all__ = ["WireCluster"]

ResponseT = TypeVar("ResponseT", bound=Response)


class WireCluster:
    """Connections to the brokers of a cluster, each made when it is first needed."""

    def __init__(self, servers: str, settings: Mapping[str, str]) -> None:
        self.timeout_s = timeout_of(settings)
        self._any = WireClient.connect(servers, settings, timeout_s=self.timeout_s)
        self._by_node: dict[int, WireClient] = {}
        self._brokers: dict[int, MetadataResponseBroker] | None = None

    def metadata(self, *, topics: bool) -> MetadataResponse:
        """The brokers, and on demand all topics."""
        request = MetadataRequest(topics=None if topics else [], allow_auto_topic_creation=False)
        return self._any.ask(request, MetadataResponse)

    @property
    def brokers(self) -> dict[int, MetadataResponseBroker]:
        """The live brokers, by id."""
        if self._brokers is None:
            found = sorted(self.metadata(topics=False).brokers, key=lambda one: one.node_id)
            self._brokers = {one.node_id: one for one in found}
        return self._brokers

    def broker(self, node_id: int | None) -> WireClient:
        """The connection to a broker, or to the one that answered first. Raises `CommandError`."""
        if node_id is None:
            return self._any
        if node_id not in self._by_node:
            if node_id not in self.brokers:
                raise CommandError(f"there is no broker {node_id}; there are: {[*self.brokers]}")
            found = self.brokers[node_id]
            client = WireClient(found.host, found.port, timeout_s=self.timeout_s)
            self._by_node[node_id] = client
        return self._by_node[node_id]

    def ask(
        self, request: Request, response_type: type[ResponseT], *, node_id: int | None = None
    ) -> ResponseT:
        """The answer of a broker, of any one without a `node_id`. Raises `CommandError`."""
        return self.broker(node_id).ask(request, response_type)

    def close(self) -> None:
        for client in (self._any, *self._by_node.values()):
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
