"""Changes of configs that clients ask for: what the configs of a topic or broker become.

Pure functions from the stored configs and a change to the new ones; what must not be raises
KafkaError with Kafka's code and words. Sources: Kafka's ConfigurationControlManager (topics),
ConfigAdminManager and DynamicBrokerConfig (brokers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from kstore.configs.broker import BROKER_CONFIGS, DYNAMIC_BROKER_CONFIGS
from kstore.configs.definitions import Config, ConfigError, ConfigType
from kstore.configs.topic import TOPIC_CONFIGS, check_sizes, check_topic_configs
from kstore.errors import ErrorCode, KafkaError

__all__ = [
    "ConfigOperation",
    "ConfigOperationType",
    "change_broker_configs",
    "change_topic_configs",
    "replace_broker_configs",
    "replace_topic_configs",
]


class ConfigOperationType(IntEnum):
    """What is done to one config; the numbers are the protocol's (`AlterConfigOp.OpType`)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@dataclass(frozen=True, slots=True)
class ConfigOperation:
    """One step of a change. `value` is "" for DELETE."""

    name: str
    type: ConfigOperationType
    value: str = ""


def change_topic_configs(
    current: Mapping[str, str], operations: Iterable[ConfigOperation]
) -> dict[str, str]:
    """The configs of a topic after the operations. Raises KafkaError(INVALID_CONFIG)."""
    changed = dict(current)
    for operation in operations:
        config = TOPIC_CONFIGS.get(operation.name)
        if _on_list(operation) and (config is None or config.type is not ConfigType.LIST):
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Can't {operation.type.name} to key {operation.name} because its type is not "
                "LIST.",
            )
        _apply(changed, operation, config)
    return replace_topic_configs(changed)


def replace_topic_configs(wanted: Mapping[str, str]) -> dict[str, str]:
    """The configs of a topic that are to be exactly these. Raises KafkaError(INVALID_CONFIG)."""
    check_topic_configs(wanted)
    return dict(wanted)


def change_broker_configs(
    current: Mapping[str, str], operations: Iterable[ConfigOperation]
) -> dict[str, str]:
    """The dynamic configs of a broker, or the cluster's defaults, after the operations.

    Raises KafkaError: INVALID_REQUEST for one that can't be changed or a bad value, INVALID_CONFIG
    for an operation on lists that does not fit.
    """
    changed = dict(current)
    for operation in operations:
        config = BROKER_CONFIGS.get(operation.name)
        if _on_list(operation):
            if config is None:
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {operation.name}")
            if config.type is not ConfigType.LIST:
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG,
                    f"Config value {operation.type.name.lower()} is not allowed for config key: "
                    f"{operation.name}",
                )
        _apply(changed, operation, config)
    return replace_broker_configs(changed)


def replace_broker_configs(wanted: Mapping[str, str]) -> dict[str, str]:
    """The dynamic configs that are to be exactly these. Raises KafkaError as the change does.

    Kafka takes names that it does not know, for plugins; here nothing would read them, and they are
    refused as those are that only a restart changes.
    """
    fixed = sorted(name for name in wanted if name not in DYNAMIC_BROKER_CONFIGS)
    if fixed:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Cannot update these configs dynamically: [{', '.join(fixed)}]",
        )
    try:
        for name, text in wanted.items():
            DYNAMIC_BROKER_CONFIGS[name].parse(text)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, str(error)) from None
    check_sizes(wanted)
    return dict(wanted)


def _on_list(operation: ConfigOperation) -> bool:
    return operation.type in (ConfigOperationType.APPEND, ConfigOperationType.SUBTRACT)


def _apply(configs: dict[str, str], operation: ConfigOperation, config: Config | None) -> None:
    name = operation.name
    if operation.type is ConfigOperationType.SET:
        configs[name] = operation.value
        return
    if operation.type is ConfigOperationType.DELETE:
        configs.pop(name, None)
        return
    assert config is not None
    text = configs[name] if name in configs else config.format(config.default)
    items = [item for item in (text or "").split(",") if item]
    # As Java splits: nothing comes of commas at the end.
    for item in operation.value.rstrip(",").split(","):
        if operation.type is ConfigOperationType.APPEND:
            if item not in items:
                items.append(item)
        elif item in items:
            items.remove(item)
    configs[name] = ",".join(items)
