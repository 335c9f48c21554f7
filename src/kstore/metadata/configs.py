"""Configs of topics and brokers that clients change while the broker runs.

A change is checked and written in one transaction per request; a resource that is refused leaves
the others as they are. Refusals are those of Kafka's `ConfigurationControlManager`. Thread: the
loop; the functions below the class run in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kstore.configs import (
    ConfigOperation,
    change_broker_configs,
    change_topic_configs,
    replace_broker_configs,
    replace_topic_configs,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.cluster import Cluster
from kstore.metadata.draft import Draft
from kstore.metadata.names import check_topic_name
from kstore.runtime import Later

__all__ = ["ConfigChange", "Configs"]


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What is to become of the configs of one topic, or of one broker ("" for all brokers).

    `operations` change those that are there; without them, `replacement` takes their place.
    """

    topic: bool
    name: str
    operations: Sequence[ConfigOperation] | None = None
    replacement: Mapping[str, str] | None = None


class Configs:
    """The configs of a cluster's topics and brokers."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def change(
        self, changes: Sequence[ConfigChange], validate_only: bool = False
    ) -> Later[list[KafkaError | None]]:
        """Makes the changes, all that are good in one transaction; an error for each, in order.

        With `validate_only` nothing is changed; the errors tell what would be.
        """

        def plan(draft: Draft) -> list[KafkaError | None]:
            return [_change(draft, change, validate_only) for change in changes]

        def refuse_all(error: KafkaError) -> list[KafkaError | None]:
            return [error] * len(changes)

        return self._cluster.submit_answered(plan, refuse_all)


def _change(draft: Draft, change: ConfigChange, validate_only: bool) -> KafkaError | None:
    try:
        if change.topic:
            _change_topic(draft, change, validate_only)
        else:
            _change_broker(draft, change, validate_only)
    except KafkaError as error:
        return error
    return None


def _change_topic(draft: Draft, change: ConfigChange, validate_only: bool) -> None:
    if not change.name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
    check_topic_name(change.name)
    topic = draft.topics.get(change.name)
    current = {} if topic is None else topic.configs
    if change.operations is not None:
        configs = change_topic_configs(current, change.operations)
    else:
        configs = replace_topic_configs(change.replacement or {})
    if topic is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{change.name}' does not exist."
        )
    if configs != current and not validate_only:
        draft.change_topic_configs(topic, configs)


def _change_broker(draft: Draft, change: ConfigChange, validate_only: bool) -> None:
    current = draft.broker_configs.get(change.name, {})
    if change.operations is not None:
        configs = change_broker_configs(current, change.operations)
    else:
        configs = replace_broker_configs(change.replacement or {})
    if configs != current and not validate_only:
        draft.change_broker_configs(change.name, configs)
