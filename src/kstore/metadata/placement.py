"""Which brokers get the replicas of a new topic's partitions.

The errors are those of Kafka's `ReplicationControlManager` and `StripedReplicaPlacer`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kstore.errors import ErrorCode, KafkaError

__all__ = ["check_assignments", "check_replicas", "place"]

Replicas = tuple[int, ...]


def place(
    partition_count: int, replication_factor: int, brokers: Collection[int], first: int
) -> list[Replicas]:
    """Replicas by turns over all brokers; `first` says whose turn it is at partition 0.

    KafkaError(INVALID_REPLICATION_FACTOR) if there are too few brokers.
    """
    reason = ""
    if not brokers:
        reason = "All brokers are currently fenced, or have all their log directories cordoned."
    elif replication_factor > len(brokers):
        reason = (
            f"The target replication factor of {replication_factor} cannot be reached because "
            f"only {len(brokers)} broker(s) are registered or some brokers have all their log "
            "directories cordoned."
        )
    if reason:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): {reason}",
        )
    ring = sorted(brokers)
    # Partitions with the same leader share one tuple.
    rows = [
        tuple(ring[(start + follower) % len(ring)] for follower in range(replication_factor))
        for start in range(len(ring))
    ]
    return [rows[(first + index) % len(rows)] for index in range(partition_count)]


def check_assignments(
    assignments: Mapping[int, Sequence[int]], brokers: Collection[int]
) -> list[Replicas]:
    """The replicas that a client chose, in the order of partitions.

    KafkaError(INVALID_REPLICA_ASSIGNMENT) if they can't be had.
    """
    factor: int | None = None
    for replicas in assignments.values():
        check_replicas(replicas, brokers, factor)
        factor = len(replicas)
    if set(assignments) != set(range(len(assignments))):
        raise _refused("partitions should be a consecutive 0-based integer sequence")
    return [tuple(assignments[index]) for index in range(len(assignments))]


def check_replicas(replicas: Sequence[int], brokers: Collection[int], factor: int | None) -> None:
    """The replicas of one partition that a client chose; `factor` is how many others have.

    KafkaError(INVALID_REPLICA_ASSIGNMENT) if they can't be had.
    """
    if not replicas:
        raise _refused("The manual partition assignment includes an empty replica list.")
    previous: int | None = None
    for node_id in sorted(replicas):
        if node_id not in brokers:
            raise _refused(
                f"The manual partition assignment includes broker {node_id}, but no such broker "
                "is registered."
            )
        if node_id == previous:
            raise _refused(
                f"The manual partition assignment includes the broker {node_id} more than once."
            )
        previous = node_id
    if factor is not None and len(replicas) != factor:
        raise _refused(
            f"The manual partition assignment includes a partition with {len(replicas)} "
            "replica(s), but this is not consistent with previous partitions, which have "
            f"{factor} replica(s)."
        )


def _refused(message: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
