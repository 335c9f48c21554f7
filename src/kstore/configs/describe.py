"""Configs as clients are shown them: the value in force, where it comes from, what it overrides.

Source: Kafka's ConfigHelper and DynamicBrokerConfig. Nothing is dynamic on the broker yet, so its
own configs are read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from kstore.configs.broker import BROKER_CONFIGS
from kstore.configs.definitions import Config
from kstore.configs.settings import Settings
from kstore.configs.topic import TOPIC_CONFIGS

__all__ = [
    "ConfigEntry",
    "ConfigSource",
    "ConfigSynonym",
    "describe_broker_configs",
    "describe_topic_configs",
]


class ConfigSource(IntEnum):
    """Where a value comes from; the numbers are the protocol's (`DescribeConfigsResponse`)."""

    TOPIC = 1
    STATIC_BROKER = 4
    DEFAULT = 5


@dataclass(frozen=True, slots=True)
class ConfigSynonym:
    """A place that gives a config its value, or would if those before it didn't."""

    name: str
    value: str | None
    source: ConfigSource


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One config with the value in force. `synonyms` has the place it comes from first."""

    config: Config
    value: str | None
    source: ConfigSource
    read_only: bool
    synonyms: tuple[ConfigSynonym, ...]

    @property
    def name(self) -> str:
        return self.config.name


def describe_topic_configs(
    settings: Settings, topic_overrides: Mapping[str, str]
) -> list[ConfigEntry]:
    """All configs of a topic by name."""
    entries = []
    for name, config in TOPIC_CONFIGS.items():
        if config.internal and name not in topic_overrides:
            continue
        synonyms = list(_topic_synonyms(settings, config, topic_overrides))
        value, source = config.format(config.default), ConfigSource.DEFAULT
        if synonyms:
            value, source = _in_force(config, synonyms[0]), synonyms[0].source
        entries.append(ConfigEntry(config, value, source, False, tuple(synonyms)))
    return entries


def describe_broker_configs(settings: Settings) -> list[ConfigEntry]:
    """All configs of the broker by name."""
    entries = []
    for config in BROKER_CONFIGS.values():
        if config.internal:
            continue
        synonyms = tuple(_broker_synonyms(settings, config))
        value = config.format(settings[config.name])
        source = synonyms[0].source if synonyms else ConfigSource.DEFAULT
        entries.append(ConfigEntry(config, value, source, True, synonyms))
    return entries


def _topic_synonyms(
    settings: Settings, config: Config, overrides: Mapping[str, str]
) -> Iterable[ConfigSynonym]:
    if config.name in overrides:
        yield ConfigSynonym(config.name, overrides[config.name], ConfigSource.TOPIC)
    for synonym in config.synonyms:
        broker_config = BROKER_CONFIGS.get(synonym.name)
        if broker_config is not None:
            yield from _broker_synonyms(settings, broker_config)


def _broker_synonyms(settings: Settings, config: Config) -> Iterable[ConfigSynonym]:
    if config.name in settings.given:
        given = config.format(settings[config.name])
        yield ConfigSynonym(config.name, given, ConfigSource.STATIC_BROKER)
    if config.default is not None:
        yield ConfigSynonym(config.name, config.format(config.default), ConfigSource.DEFAULT)


def _in_force(config: Config, synonym: ConfigSynonym) -> str | None:
    """The value that a synonym stands for, in the unit of `config`."""
    factor = {one.name: one.factor for one in config.synonyms}.get(synonym.name, 1)
    if factor == 1 or synonym.value is None:
        return synonym.value
    return str(int(synonym.value) * factor)
