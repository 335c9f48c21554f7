"""Levels of the cluster's features that somebody has set. Thread: the loop."""

from __future__ import annotations

from collections.abc import Mapping

from kstore.errors import KafkaError
from kstore.metadata.cluster import Cluster
from kstore.metadata.draft import Draft
from kstore.runtime import Later

__all__ = ["Features"]


class Features:
    """Sets levels; what may be set is for others to say."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def change(self, levels: Mapping[str, int]) -> Later[KafkaError | None]:
        """Sets `levels`, all in one transaction; the error if they were not stored."""

        def plan(draft: Draft) -> KafkaError | None:
            draft.change_features(levels)
            return None

        return self._cluster.submit_answered(plan, lambda error: error)
