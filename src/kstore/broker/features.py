"""The features of the cluster that are finalized: only those that work here.

A client turns to a newer protocol when the feature behind it is finalized, so one told too early
breaks it, and one told too late keeps it on the old protocol. Levels are those of Kafka 4.3
(`org.apache.kafka.server.common.Feature`, `MetadataVersion`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEATURES", "FeatureLevels"]


@dataclass(frozen=True, slots=True)
class FeatureLevels:
    """What a broker supports, and the level that the cluster is at."""

    min: int
    max: int
    finalized: int


FEATURES = {
    # 7 is 3.3-IV3, the oldest that Kafka 4 supports; 30 is 4.3-IV0.
    "metadata.version": FeatureLevels(min=7, max=30, finalized=30),
}
"""Yet to come, each with what it promises: group.version, transaction.version, share.version,
streams.version."""
