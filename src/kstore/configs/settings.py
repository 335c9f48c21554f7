"""From the text of settings to typed values: `load`, `Settings`, and the builders of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from kstore.configs.broker import BROKER_CONFIGS, DYNAMIC_BROKER_CONFIGS
from kstore.configs.definitions import Config, ConfigError, ConfigValue
from kstore.configs.listeners import advertised_listeners, listeners
from kstore.configs.topic import TOPIC_CONFIGS
from kstore.configs.values import (
    GroupConfig,
    LogConfig,
    NetworkConfig,
    TopicDefaults,
    TransactionConfig,
)

__all__ = [
    "Settings",
    "data_directories",
    "group_config",
    "load",
    "log_config",
    "network_config",
    "topic_defaults",
    "topic_value",
    "transaction_config",
]


class Settings(Mapping[str, Any]):
    """The broker's configs, checked and typed: `settings["num.partitions"]` is an int.

    `given` is the text of those configs that were set, `unknown` the names that no config bears:
    to be warned about. `cluster_defaults` and `own` are the text of those that clients set while
    the broker runs, for all brokers and for this one; they go before `given`.
    """

    __slots__ = ("_values", "cluster_defaults", "given", "own", "unknown")

    def __init__(
        self, values: Mapping[str, ConfigValue], given: Mapping[str, str], unknown: tuple[str, ...]
    ) -> None:
        self._values = dict(values)
        self.given = dict(given)
        self.unknown = unknown
        self.cluster_defaults: Mapping[str, str] = {}
        self.own: Mapping[str, str] = {}

    def with_dynamic(self, cluster_defaults: Mapping[str, str], own: Mapping[str, str]) -> Settings:
        """These settings with others set by clients: for all brokers, and for this one alone.

        What can't be taken, having been stored by another version, is left out, as in Kafka.
        """
        static = {
            name: config.parse(self.given[name]) if name in self.given else config.default
            for name, config in DYNAMIC_BROKER_CONFIGS.items()
        }
        settings = Settings({**self._values, **static}, self.given, self.unknown)
        settings.cluster_defaults = _usable(cluster_defaults)
        settings.own = _usable(own)
        for name, text in (*settings.cluster_defaults.items(), *settings.own.items()):
            settings._values[name] = BROKER_CONFIGS[name].parse(text)
        return settings

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _usable(texts: Mapping[str, str]) -> dict[str, str]:
    usable = {}
    for name, text in texts.items():
        with suppress(ConfigError, KeyError):
            DYNAMIC_BROKER_CONFIGS[name].parse(text)
            usable[name] = text
    return usable


def load(properties: Mapping[str, str]) -> Settings:
    """Checks and parses all settings; those not given have their defaults.

    Raises ConfigError, whose text is one line that names the setting, before anything is opened.
    """
    given = {name: text for name, text in properties.items() if name in BROKER_CONFIGS}
    unknown = tuple(name for name in properties if name not in BROKER_CONFIGS)
    values = {
        name: config.parse(given[name]) if name in given else config.default
        for name, config in BROKER_CONFIGS.items()
    }
    if "broker.id" in given:
        if "node.id" not in given:
            values["node.id"] = values["broker.id"]
        elif values["node.id"] != values["broker.id"]:
            raise ConfigError("node.id", "You must set `node.id` to the same value as `broker.id`.")
    settings = Settings(values, given, unknown)
    if topic_value(settings, TOPIC_CONFIGS["retention.ms"], {}) == 0:
        raise ConfigError(
            "log.retention.ms",
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        )
    listeners(settings)
    advertised_listeners(settings)
    return settings


def data_directories(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The data directories: `log.dirs`, or else `log.dir`."""
    directories: tuple[str, ...] = settings[
        "log.dir" if settings["log.dirs"] is None else "log.dirs"
    ]
    return directories


def log_config(settings: Settings, topic_overrides: Mapping[str, str] | None = None) -> LogConfig:
    """The config of a topic's logs. ConfigError if an override is bad; unknown ones are skipped."""
    overrides = topic_overrides or {}
    values = {
        field.name: _log_value(settings, field.name.replace("_", "."), overrides)
        for field in fields(LogConfig)
    }
    values["cleanup_policy"] = frozenset(values["cleanup_policy"])
    internal_segment_bytes = _log_value(settings, "internal.segment.bytes", overrides)
    if internal_segment_bytes is not None:
        values["segment_bytes"] = internal_segment_bytes
    return LogConfig(**values)


def group_config(settings: Settings) -> GroupConfig:
    """The config of the group coordinator."""
    return GroupConfig(**_named(settings, GroupConfig))


def transaction_config(settings: Settings) -> TransactionConfig:
    """The config of the transaction coordinator."""
    return TransactionConfig(**_named(settings, TransactionConfig))


def network_config(settings: Settings) -> NetworkConfig:
    """The config of listeners and connections."""
    return NetworkConfig(**_named(settings, NetworkConfig))


def topic_defaults(settings: Settings) -> TopicDefaults:
    """What new topics get where their creator leaves the choice to the broker."""
    return TopicDefaults(**_named(settings, TopicDefaults))


def _named(settings: Settings, cls: type[Any]) -> dict[str, Any]:
    """The values that the fields of a config class name."""
    return {field.name: settings[field.name.replace("_", ".")] for field in fields(cls)}


def _log_value(settings: Settings, name: str, overrides: Mapping[str, str]) -> Any:
    config = TOPIC_CONFIGS.get(name)
    return settings[name] if config is None else topic_value(settings, config, overrides)


def topic_value(settings: Settings, config: Config, overrides: Mapping[str, str]) -> ConfigValue:
    """The value of a topic config: the override's, or else that of the first synonym set."""
    if config.name in overrides:
        return config.parse(overrides[config.name])
    for synonym in config.synonyms:
        value = settings.get(synonym.name)
        if value is not None:
            # Negative stands for no limit, whatever the unit.
            return value * synonym.factor if synonym.factor != 1 and value > 0 else value  # type: ignore[no-any-return]
    return config.default
