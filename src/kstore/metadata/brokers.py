"""Brokers that are up: each registers itself once it knows where clients can reach it."""

from __future__ import annotations

from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.cluster import Cluster
from kstore.metadata.draft import Draft
from kstore.metadata.image import BrokerImage
from kstore.runtime import Later

__all__ = ["Brokers"]


class Brokers:
    """The registrations of a cluster. Thread: the loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def register(self, broker: BrokerImage) -> Later[None]:
        """Makes a broker known until this process ends.

        KafkaError(DUPLICATE_BROKER_REGISTRATION) if its id is taken.
        """
        now_ms = self._cluster.runtime.time_ms()

        def plan(draft: Draft) -> bool:
            if broker.node_id in draft.brokers:
                return False
            draft.add_broker(broker, now_ms)
            return True

        def check(registered: bool) -> None:
            if not registered:
                raise KafkaError(
                    ErrorCode.DUPLICATE_BROKER_REGISTRATION,
                    f"Another broker is registered with the id {broker.node_id}.",
                )

        return self._cluster.submit(plan).map(check)
