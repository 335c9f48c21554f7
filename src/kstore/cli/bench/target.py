"""The topic that a benchmark loads: found, or made for the run and deleted after it; its leaders.

Everything here happens before or after the measured time, over the blocking client.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kstore.cli.bench.options import LoadOptions
from kstore.cli.errors import CallError, CommandError, warn
from kstore.cli.properties import read_properties, timeout_of
from kstore.cli.wire_client import check_error, error_name
from kstore.cli.wire_cluster import WireCluster
from kstore.errors import ErrorCode
from kstore.wire.messages.create_topics import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from kstore.wire.messages.delete_topics import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from kstore.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from kstore.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from kstore.wire.versions import ApiKey

__all__ = ["EARLIEST", "LATEST", "Address", "Share", "Target", "open_target"]

Address = tuple[str, int]

LATEST = -1
EARLIEST = -2

_READY_DEADLINE_S = 30.0
_ASK_AGAIN_S = 0.02

# Produce and Fetch name topics, not their ids, up to here.
_NEWEST_WITH_NAMES = 12

_NOT_READY = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
)


@dataclass(frozen=True, slots=True)
class Share:
    """What one connection works on: some partitions, all led by the broker at `address`."""

    address: Address
    partitions: Sequence[int]


class Target:
    """A topic whose partitions all have a leader."""

    def __init__(self, cluster: WireCluster, name: str, timeout_s: float) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self._cluster = cluster
        self._served = cluster.broker(None).versions.api_keys
        self._nodes = self._find_leaders()
        self.offsets(LATEST)

    @property
    def partition_count(self) -> int:
        return len(self._nodes)

    def version(self, key: ApiKey) -> int:
        """The version to speak of Produce or Fetch. Raises `CommandError`."""
        served = {one.api_key: one.max_version for one in self._served}
        if key not in served:
            raise CommandError(f"the broker does not serve {key.name} (API {key})")
        return min(served[key], _NEWEST_WITH_NAMES)

    def shares(self, connection_count: int) -> list[Share]:
        """Spreads the partitions over so many connections, or one for each leader if that is more.

        With more connections than partitions, several work on the same.
        """
        led: dict[int, list[int]] = {}
        for partition, node_id in sorted(self._nodes.items()):
            led.setdefault(node_id, []).append(partition)
        count = max(connection_count, len(led))
        shares = []
        for order, (node_id, partitions) in enumerate(led.items()):
            broker = self._cluster.brokers[node_id]
            own_count = len(range(order, count, len(led)))
            for index in range(own_count):
                part = partitions[index::own_count] or [partitions[index % len(partitions)]]
                shares.append(Share((broker.host, broker.port), part))
        return shares

    def offsets(self, instant: int) -> dict[int, int]:
        """The EARLIEST or LATEST offset of each partition; waits until the leaders know of them."""
        deadline = time.monotonic() + _READY_DEADLINE_S
        found: dict[int, int] = {}
        for node_id in set(self._nodes.values()):
            own = [partition for partition, node in self._nodes.items() if node == node_id]
            while (refused := self._ask_offsets(node_id, own, instant, found)) is not None:
                if refused not in _NOT_READY or time.monotonic() > deadline:
                    raise CommandError(f"topic '{self.name}': {error_name(refused)}")
                time.sleep(_ASK_AGAIN_S)
        return found

    def _ask_offsets(
        self, node_id: int, partitions: list[int], instant: int, found: dict[int, int]
    ) -> int | None:
        """Puts the offsets into `found`; gives the first error code if there is one."""
        asked = [ListOffsetsPartition(partition_index=one, timestamp=instant) for one in partitions]
        request = ListOffsetsRequest(
            replica_id=-1, topics=[ListOffsetsTopic(name=self.name, partitions=asked)]
        )
        answer = self._cluster.ask(request, ListOffsetsResponse, node_id=node_id)
        for one in answer.topics[0].partitions:
            if one.error_code:
                return one.error_code
            found[one.partition_index] = one.offset
        return None

    def _find_leaders(self) -> dict[int, int]:
        deadline = time.monotonic() + _READY_DEADLINE_S
        while True:
            described = _describe(self._cluster, self.name)
            refused = [described.error_code, *(one.error_code for one in described.partitions)]
            if not any(refused) and described.partitions:
                return {one.partition_index: one.leader_id for one in described.partitions}
            if time.monotonic() > deadline:
                raise CommandError(f"topic '{self.name}': {error_name(max(refused))}")
            time.sleep(_ASK_AGAIN_S)


def _describe(cluster: WireCluster, name: str) -> MetadataResponseTopic:
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False
    )
    return cluster.ask(request, MetadataResponse).topics[0]


@contextmanager
def open_target(options: LoadOptions, partition_count: int) -> Iterator[Target]:
    """The topic of the options, or one of so many partitions that is deleted at the end.

    Raises `CommandError`.
    """
    settings = read_properties(options.command_config)
    timeout_s = timeout_of(settings)
    with _connect(options, settings) as cluster:
        if options.topic is not None:
            name = options.topic
            if _describe(cluster, name).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise CommandError(
                    f"there is no topic '{name}'; `kstore topics --create --topic {name}` makes it,"
                    " and without --topic a benchmark makes one of its own"
                )
            yield Target(cluster, name, timeout_s)
            return
        name = f"kstore-bench-{secrets.token_hex(4)}"
        _create(cluster, name, partition_count, options.replication_factor)
        try:
            yield Target(cluster, name, timeout_s)
        finally:
            _delete(cluster, name)


def _connect(options: LoadOptions, settings: Mapping[str, str]) -> WireCluster:
    try:
        return WireCluster(options.bootstrap_server, settings)
    except CallError:
        raise
    except CommandError as error:
        hint = "`kstore serve` starts a broker, --bootstrap-server names another"
        raise CommandError(f"{error}; {hint}") from None


def _create(cluster: WireCluster, name: str, partition_count: int, replication_factor: int) -> None:
    topic = CreatableTopic(
        name=name, num_partitions=partition_count, replication_factor=replication_factor
    )
    answer = cluster.ask(
        CreateTopicsRequest(topics=[topic], timeout_ms=30_000), CreateTopicsResponse
    )
    for one in answer.topics:
        check_error(one.error_code, f"topic '{name}' can't be made", one.error_message)


def _delete(cluster: WireCluster, name: str) -> None:
    """A topic that stays is no reason to lose the result."""
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=30_000)
    try:
        for one in cluster.ask(request, DeleteTopicsResponse).responses:
            check_error(one.error_code, name)
    except CommandError as error:
        warn(f"the topic of this run stays: {error}")
