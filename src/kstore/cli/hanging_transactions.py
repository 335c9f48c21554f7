"""Which open transactions nobody will end: what `kstore transactions find-hanging` looks for.

A transaction that is open on a partition hangs if its producer has no transactional id any more,
or if the coordinator of that id does not count the partition among those that still need a marker:
then no marker is on its way, and readers of what is committed wait for ever. Main thread only.

Source: Kafka's TransactionsCommand.FindHangingTransactionsCommand.
"""

from __future__ import annotations

from collections.abc import Sequence

from kstore.cli.transaction_questions import (
    Key,
    OpenTransaction,
    Partition,
    describe_producers,
    describe_transaction,
    list_transactions,
)
from kstore.cli.wire_cluster import WireCluster

__all__ = ["hanging_transactions"]


def hanging_transactions(
    cluster: WireCluster,
    partitions: Sequence[Partition],
    *,
    node_id: int | None,
    begun_before_ms: int,
) -> list[OpenTransaction]:
    """Those on `partitions` whose last record is older; asks leaders, or the broker `node_id`."""
    candidates = [
        OpenTransaction(key, producer)
        for key, producers in describe_producers(cluster, partitions, node_id).items()
        for producer in producers
        if producer.current_txn_start_offset >= 0 and producer.last_timestamp < begun_before_ms
    ]
    if not candidates:
        return []
    expected = _expected(cluster, {one.producer.producer_id for one in candidates})
    return [one for one in candidates if one.key not in expected[one.producer.producer_id]]


def _expected(cluster: WireCluster, producer_ids: set[int]) -> dict[int, set[Key]]:
    """The partitions on which a coordinator will yet end a transaction, by producer id."""
    expected: dict[int, set[Key]] = {producer_id: set() for producer_id in producer_ids}
    for listing in list_transactions(cluster, producer_ids=producer_ids):
        if listing.producer_id not in expected:
            continue
        found = describe_transaction(cluster, listing.transactional_id)
        if found is None:
            continue  # it has expired since it was listed
        _, state = found
        expected[listing.producer_id] |= {
            (topic.topic, index) for topic in state.topics for index in topic.partitions
        }
    return expected
