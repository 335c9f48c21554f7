"""From a frame to the handler of its API, and back to a frame.

Checks what the header says against `wire/versions.py`, decodes, calls, encodes. What a client did
wrong ends in the reply that Kafka gives, or in `CloseConnection` or `DecodeError`, which end its
connection. Thread: the loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from kstore._native.frames import parse_client_id, parse_prefix
from kstore.broker.api import Api, CloseConnection, FrameApi, InEffect, Reply
from kstore.broker.broker import Broker
from kstore.broker.context import Connection, RequestContext
from kstore.runtime import Later
from kstore.wire import headers
from kstore.wire.codec import decode_prefix, encode_response, request_type
from kstore.wire.schema import Response, Struct
from kstore.wire.versions import ADVERTISED, ApiKey, flexible_from

__all__ = ["API_MODULES", "Coming", "Dispatcher", "load_apis"]

API_MODULES = (
    "add_offsets_to_txn",
    "add_partitions_to_txn",
    "alter_configs",
    "alter_partition_reassignments",
    "alter_replica_log_dirs",
    "api_versions",
    "create_partitions",
    "create_topics",
    "delete_groups",
    "delete_records",
    "delete_topics",
    "describe_cluster",
    "describe_configs",
    "describe_groups",
    "describe_log_dirs",
    "describe_producers",
    "describe_quorum",
    "describe_topic_partitions",
    "describe_transactions",
    "elect_leaders",
    "end_txn",
    "fetch",
    "find_coordinator",
    "heartbeat",
    "incremental_alter_configs",
    "init_producer_id",
    "join_group",
    "leave_group",
    "list_config_resources",
    "list_groups",
    "list_offsets",
    "list_partition_reassignments",
    "list_transactions",
    "metadata",
    "offset_commit",
    "offset_delete",
    "offset_fetch",
    "offset_for_leader_epoch",
    "produce",
    "sync_group",
    "txn_offset_commit",
    "update_features",
    "write_txn_markers",
)


def load_apis() -> dict[int, Api | FrameApi]:
    """Every API by its key."""
    found: dict[int, Api | FrameApi] = {}
    for name in API_MODULES:
        api = import_module(f"kstore.broker.apis.{name}").API
        found[int(api.key)] = api
    return found


class Coming(NamedTuple):
    """A reply that is not there yet."""

    reply: Later[Reply]
    overlaps: bool
    """Whether the connection's next request may start before it is."""


class _Served(NamedTuple):
    """An API with what is needed to check a request for it; `frame_api` is the same, or None."""

    api: Api | FrameApi
    frame_api: FrameApi | None
    min_version: int
    max_version: int
    flexible_version: int

    @classmethod
    def of(cls, key: int, api: Api | FrameApi) -> _Served:
        versions = ADVERTISED[api.key]
        # The first three versions of Produce are advertised for librdkafka's sake, and refused.
        least = max(versions.min, 3) if key == ApiKey.PRODUCE else versions.min
        frame_api = api if isinstance(api, FrameApi) else None
        return cls(api, frame_api, least, versions.max, flexible_from(key))


class Dispatcher:
    """Answers frames."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._served = {key: _Served.of(key, api) for key, api in load_apis().items()}

    def handle(self, frame: memoryview, connection: Connection) -> Reply | Coming:
        """Starts the request in `frame`; the view is not used after this returns.

        Raises DecodeError or CloseConnection where the connection can't go on.
        """
        key, version, correlation_id = parse_prefix(frame)
        served = self._served.get(key)
        if served is None:
            raise CloseConnection(f"a request of API {key}, which is not served")
        api, frame_api, min_version, max_version, flexible_version = served
        if not min_version <= version <= max_version:
            if key != ApiKey.API_VERSIONS:
                raise CloseConnection(f"{ApiKey(key).name} version {version} is not served")
            # Answered in version 0, whatever was asked, so that any client can read it.
            context = RequestContext(self._broker, connection, version, correlation_id, None)
            return self._answer_message(api, None, context)
        client_id, position = parse_client_id(frame, version >= flexible_version)
        context = RequestContext(self._broker, connection, version, correlation_id, client_id)
        if frame_api is not None:
            reply = frame_api.handle(frame, position, context)
            if isinstance(reply, Later):
                return Coming(reply, frame_api.overlaps or isinstance(reply, InEffect))
            return reply
        # What follows the message is ignored, as Kafka does: librdkafka sends a few bytes too many.
        request, _ = decode_prefix(request_type(key), version, frame, position)
        return self._answer_message(api, request, context)

    def _answer_message(
        self, api: Api | FrameApi, request: Struct | None, context: RequestContext
    ) -> Reply | Coming:
        assert isinstance(api, Api)
        version = 0 if request is None else context.api_version
        response = api.handle(request, context)

        def encode(message: Response) -> Reply:
            body = encode_response(message, version)
            return [headers.response_frame(api.key, version, context.correlation_id, body)]

        if isinstance(response, Later):
            return Coming(response.map(encode), api.overlaps)
        return encode(response)
