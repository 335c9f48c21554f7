"""What `kstore transactions` asks brokers, over `kstore.cli.wire_cluster`.

What a broker can't answer yet (a coordinator that loads or moves, a transaction that is ending, a
leader that is not known) is asked again until the client's timeout. All functions raise
`CommandError`. Main thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from kstore.cli.errors import CommandError
from kstore.cli.wire_client import check_error
from kstore.cli.wire_cluster import WireCluster
from kstore.errors import ErrorCode
from kstore.wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    ProducerState,
    TopicRequest,
)
from kstore.wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from kstore.wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from kstore.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kstore.wire.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from kstore.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
)
from kstore.wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

__all__ = [
    "Key",
    "Listing",
    "OpenTransaction",
    "Partition",
    "abort_on_partition",
    "describe_producers",
    "describe_transaction",
    "fence",
    "list_transactions",
    "partitions_of",
]

T = TypeVar("T")

Key = tuple[str, int]
"""A topic and the index of a partition."""

_TRANSACTION = 1  # the type of a coordinator's key
_ASK_AGAIN_S = 0.1
_MAX_PARTITIONS = 500  # in one question, as Kafka's tool asks
_NOT_YET = {
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
}


class Listing(NamedTuple):
    """A transactional id as its coordinator lists it."""

    transactional_id: str
    coordinator_id: int
    producer_id: int
    state: str


class Partition(NamedTuple):
    """A partition and who holds it."""

    key: Key
    leader_id: int
    replica_ids: Sequence[int]


class OpenTransaction(NamedTuple):
    """A producer with a transaction open on a partition."""

    key: Key
    producer: ProducerState


def list_transactions(
    cluster: WireCluster,
    *,
    producer_ids: Collection[int] = (),
    duration_ms: int | None = None,
    pattern: str | None = None,
) -> list[Listing]:
    """What all coordinators list, by transactional id."""
    request = ListTransactionsRequest(
        producer_id_filters=[*producer_ids],
        duration_filter=-1 if duration_ms is None else duration_ms,
        transactional_id_pattern=pattern or None,
    )
    found = []
    for node_id in cluster.brokers:

        def ask(node_id: int = node_id) -> tuple[int, ListTransactionsResponse]:
            answer = cluster.ask(request, ListTransactionsResponse, node_id=node_id)
            return answer.error_code, answer

        answer = _settled(cluster, ask, f"broker {node_id}")
        found += [
            Listing(one.transactional_id, node_id, one.producer_id, one.transaction_state)
            for one in answer.transaction_states
        ]
    return sorted(found)


def describe_transaction(
    cluster: WireCluster, transactional_id: str
) -> tuple[int, TransactionState] | None:
    """What the coordinator, whose id comes first, knows of a transactional id, if anything."""

    def ask() -> tuple[int, tuple[int, TransactionState] | None]:
        node_id = _coordinator(cluster, transactional_id)
        request = DescribeTransactionsRequest(transactional_ids=[transactional_id])
        answer = cluster.ask(request, DescribeTransactionsResponse, node_id=node_id)
        (state,) = answer.transaction_states
        if state.error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND:
            return ErrorCode.NONE, None
        return state.error_code, (node_id, state)

    return _settled(cluster, ask, f"transactional id '{transactional_id}'")


def fence(cluster: WireCluster, transactional_id: str) -> tuple[int, int]:
    """Ends the producer of a transactional id, and the transaction that it has open.

    Gives the producer id and epoch that nobody uses. As Kafka's tool, it makes the id if there is
    none.
    """

    def ask() -> tuple[int, tuple[int, int]]:
        node_id = _coordinator(cluster, transactional_id)
        request = InitProducerIdRequest(
            transactional_id=transactional_id,
            transaction_timeout_ms=int(cluster.timeout_s * 1000),
        )
        answer = cluster.ask(request, InitProducerIdResponse, node_id=node_id)
        return answer.error_code, (answer.producer_id, answer.producer_epoch)

    return _settled(cluster, ask, f"transactional id '{transactional_id}'")


def _coordinator(cluster: WireCluster, transactional_id: str) -> int:
    def ask() -> tuple[int, int]:
        request = FindCoordinatorRequest(key_type=_TRANSACTION, coordinator_keys=[transactional_id])
        (found,) = cluster.ask(request, FindCoordinatorResponse).coordinators
        return found.error_code, found.node_id

    return _settled(cluster, ask, f"the coordinator of '{transactional_id}'")


def partitions_of(cluster: WireCluster, topic: str | None = None) -> list[Partition]:
    """The partitions of a topic, or of all, in order."""
    wanted = None if topic is None else [MetadataRequestTopic(name=topic)]
    request = MetadataRequest(topics=wanted, allow_auto_topic_creation=False)
    topics = cluster.ask(request, MetadataResponse).topics
    for one in topics:
        check_error(one.error_code, f"topic '{one.name}'")
    return sorted(
        Partition((one.name or "", each.partition_index), each.leader_id, each.replica_nodes)
        for one in topics
        for each in one.partitions
    )


def describe_producers(
    cluster: WireCluster, partitions: Sequence[Partition], node_id: int | None = None
) -> dict[Key, list[ProducerState]]:
    """The producers that the leader of each partition, or the broker `node_id`, remembers."""
    by_node: dict[int, list[Key]] = {}
    for partition in partitions:
        asked = partition.leader_id if node_id is None else node_id
        if asked < 0:
            raise CommandError(f"{_name(partition.key)} has no leader")
        by_node.setdefault(asked, []).append(partition.key)
    found: dict[Key, list[ProducerState]] = {}
    for asked, keys in by_node.items():
        for some in _batched(keys):
            found |= _producers_on(cluster, asked, some)
    return found


def _producers_on(
    cluster: WireCluster, node_id: int, keys: Sequence[Key]
) -> Mapping[Key, list[ProducerState]]:
    topics: dict[str, list[int]] = {}
    for topic, index in keys:
        topics.setdefault(topic, []).append(index)
    request = DescribeProducersRequest(
        topics=[TopicRequest(name=name, partition_indexes=p) for name, p in topics.items()]
    )
    found = {}
    for topic_answer in cluster.ask(request, DescribeProducersResponse, node_id=node_id).topics:
        for one in topic_answer.partitions:
            key = topic_answer.name, one.partition_index
            check_error(one.error_code, f"{_name(key)} on broker {node_id}", one.error_message)
            found[key] = one.active_producers
    return found


def abort_on_partition(
    cluster: WireCluster,
    partition: Partition,
    *,
    producer_id: int,
    producer_epoch: int,
    coordinator_epoch: int,
) -> None:
    """Writes the marker that aborts a producer's transaction on one partition."""
    topic, index = partition.key
    marker = WritableTxnMarker(
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transaction_result=False,
        topics=[WritableTxnMarkerTopic(name=topic, partition_indexes=[index])],
        coordinator_epoch=coordinator_epoch,
    )

    def ask() -> tuple[int, None]:
        request = WriteTxnMarkersRequest(markers=[marker])
        answer = cluster.ask(request, WriteTxnMarkersResponse, node_id=partition.leader_id)
        (result,) = answer.markers
        (of_topic,) = result.topics
        (found,) = of_topic.partitions
        return found.error_code, None

    _settled(cluster, ask, f"producer {producer_id} on {_name(partition.key)}")


def _settled(cluster: WireCluster, ask: Callable[[], tuple[int, T]], what: str) -> T:
    """The answer to a question, asked again while it can't be answered yet."""
    deadline = time.monotonic() + cluster.timeout_s
    while True:
        code, answer = ask()
        if code not in _NOT_YET or time.monotonic() > deadline:
            check_error(code, what)
            return answer
        time.sleep(_ASK_AGAIN_S)


def _name(key: Key) -> str:
    return f"{key[0]}-{key[1]}"


def _batched(keys: Sequence[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while some := [*islice(rest, _MAX_PARTITIONS)]:
        yield some
