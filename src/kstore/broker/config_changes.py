"""What AlterConfigs and IncrementalAlterConfigs share: the checks of a request's resources.

What the request says of a resource is turned into a `ConfigChange`, or refused as Kafka's
`ConfigAdminManager` refuses it; the good ones are made in one go, and the answers keep the order of
the request. Thread: the loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol, TypeVar

from kstore.broker.broker import Broker
from kstore.broker.loggers import change_levels
from kstore.configs import ConfigOperationType
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.configs import ConfigChange
from kstore.runtime import Later

__all__ = ["ResourceType", "change_configs", "check_entries"]


class ResourceType(IntEnum):
    """What bears configs (`ConfigResource.Type`)."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class _Entry(Protocol):
    name: str
    value: str | None


class _Resource(Protocol):
    resource_type: int
    resource_name: str


R = TypeVar("R", bound=_Resource)


def change_configs(
    broker: Broker,
    resources: Sequence[R],
    read: Callable[[R], ConfigChange],
    *,
    validate_only: bool,
    with_loggers: bool = False,
) -> Later[list[KafkaError | None]]:
    """Changes the configs of all resources; an error for each, in order.

    `read` gives the change of a resource, or raises what is wrong with it. Only `with_loggers` are
    loggers such resources; their change has operations.
    """
    counts = Counter((one.resource_type, one.resource_name) for one in resources)
    answers: list[KafkaError | None] = []
    changes: list[ConfigChange] = []
    places: list[int] = []
    for place, resource in enumerate(resources):
        answers.append(None)
        try:
            if counts[resource.resource_type, resource.resource_name] > 1:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, "Each resource must appear at most once."
                )
            change = read(resource)
            if resource.resource_type == ResourceType.BROKER_LOGGER and with_loggers:
                _check_node(broker, resource.resource_name)
                change_levels(change.operations or (), validate_only=validate_only)
            elif resource.resource_type in (ResourceType.GROUP, ResourceType.CLIENT_METRICS):
                _check_bearer_of_nothing(resource, change)
            else:
                _check_resource(broker, resource)
                changes.append(change)
                places.append(place)
        except KafkaError as error:
            answers[place] = error

    def merge(results: list[KafkaError | None]) -> list[KafkaError | None]:
        for place, error in zip(places, results, strict=True):
            answers[place] = error
        return answers

    return broker.configs.change(changes, validate_only).map(merge)


def check_entries(entries: Sequence[_Entry], without_value: Sequence[str]) -> None:
    """Raises for names that come twice, and if there are any that lack their value."""
    if len({entry.name for entry in entries}) != len(entries):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    if without_value:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(without_value)}"
        )


def _check_resource(broker: Broker, resource: _Resource) -> None:
    if resource.resource_type == ResourceType.TOPIC:
        return
    if resource.resource_type != ResourceType.BROKER:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource.resource_type}"
        )
    if resource.resource_name:
        _check_node(broker, resource.resource_name)


def _check_node(broker: Broker, name: str) -> None:
    try:
        node_id = int(name)
    except ValueError:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        ) from None
    if node_id != broker.node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {broker.node_id}, but received {name}",
        )


def _check_bearer_of_nothing(resource: _Resource, change: ConfigChange) -> None:
    """Raises for any config of a group or of client metrics, as Kafka does for unknown names.

    Resetting one that is not set is no error there either.
    """
    of_group = resource.resource_type == ResourceType.GROUP
    if not resource.resource_name:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            "Default group resources are not allowed."
            if of_group
            else "Subscription name can't be empty",
        )
    wanted = [
        operation.name
        for operation in change.operations or ()
        if operation.type is not ConfigOperationType.DELETE
    ]
    for name in (*wanted, *(change.replacement or ())):
        if of_group:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown group config name: {name}")
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown client metrics configuration: {name}")
