"""The features of the cluster, and the levels that are finalized: those at which things work here.

A client turns to a newer protocol when the feature behind it is finalized, so one told too early
breaks it, and one told too late keeps it on the old protocol. Levels are those of Kafka 4.3
(`org.apache.kafka.server.common.Feature`, `MetadataVersion`, `TransactionVersion`). The newest
level is finalized unless somebody has set another one: so a newer broker raises its data directory
when it starts, and leaves alone what was pinned.
"""

from __future__ import annotations

from dataclasses import dataclass

from kstore.metadata.image import MetadataImage

__all__ = ["FEATURES", "TRANSACTION_VERSION", "Feature", "finalized_level"]

TRANSACTION_VERSION = "transaction.version"


@dataclass(frozen=True, slots=True)
class Feature:
    """The levels that a broker supports. One that is not `adjustable` is always at the newest."""

    min: int
    max: int
    adjustable: bool


FEATURES = {
    # 7 is 3.3-IV3, the oldest that Kafka 4 supports; 30 is 4.3-IV0.
    "metadata.version": Feature(min=7, max=30, adjustable=False),
    # 1: flexible records; 2: an epoch for each transaction, and partitions added by being written
    # to (KIP-890).
    TRANSACTION_VERSION: Feature(min=0, max=2, adjustable=True),
}
"""Yet to come, each with what it promises: group.version, share.version, streams.version."""


def finalized_level(image: MetadataImage, name: str) -> int:
    """The level that the cluster is at."""
    newest = FEATURES[name].max
    return min(image.features.get(name, newest), newest)
