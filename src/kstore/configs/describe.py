"""Configs as clients are shown them: the value in force, where it comes from, what it overrides.

Source: Kafka's ConfigHelper and DynamicBrokerConfig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import dropwhile

from kstore.configs.broker import BROKER_CONFIGS
from kstore.configs.definitions import Config
from kstore.configs.settings import Settings, topic_value
from kstore.configs.topic import TOPIC_CONFIGS

__all__ = [
    "ConfigEntry",
    "ConfigSource",
    "ConfigSynonym",
    "describe_broker_configs",
    "describe_cluster_defaults",
    "describe_topic_configs",
]


class ConfigSource(IntEnum):
    """Where a value comes from; the numbers are the protocol's (`DescribeConfigsResponse`)."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6


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
        overridden = name in topic_overrides
        if config.internal and not overridden:
            continue
        value = config.format(topic_value(settings, config, topic_overrides))
        synonyms = _broker_synonyms(settings, [synonym.name for synonym in config.synonyms])
        if overridden:
            synonyms = (ConfigSynonym(name, value, ConfigSource.TOPIC), *synonyms)
        entries.append(ConfigEntry(config, value, _source(synonyms), False, synonyms))
    return entries


def describe_broker_configs(settings: Settings) -> list[ConfigEntry]:
    """All configs of the broker by name."""
    return [
        _broker_entry(config, config.format(settings[config.name]), synonyms)
        for config in BROKER_CONFIGS.values()
        if not config.internal
        for synonyms in [_broker_synonyms(settings, _group_of(config.name))]
    ]


def describe_cluster_defaults(settings: Settings) -> list[ConfigEntry]:
    """The configs that clients have set for all brokers, by name."""
    return [
        _broker_entry(
            BROKER_CONFIGS[name],
            text,
            (ConfigSynonym(name, text, ConfigSource.DYNAMIC_DEFAULT_BROKER),),
        )
        for name, text in settings.cluster_defaults.items()
    ]


def _broker_entry(
    config: Config, value: str | None, synonyms: tuple[ConfigSynonym, ...]
) -> ConfigEntry:
    return ConfigEntry(config, value, _source(synonyms), not config.dynamic, synonyms)


def _source(synonyms: tuple[ConfigSynonym, ...]) -> ConfigSource:
    return synonyms[0].source if synonyms else ConfigSource.DEFAULT


def _group_of(name: str) -> list[str]:
    """A broker config and those that stand in for it where it is not set."""
    for config in TOPIC_CONFIGS.values():
        if config.synonyms and config.synonyms[0].name == name:
            return [synonym.name for synonym in config.synonyms]
    return [name]


def _broker_synonyms(settings: Settings, names: list[str]) -> tuple[ConfigSynonym, ...]:
    """Where the first of `names` gets its value: by source, and within that in their order.

    What would stand before the first place that bears the first name itself is left out, strange as
    that is: Kafka does (`ConfigHelper.configSynonyms`).
    """
    known = [BROKER_CONFIGS[name] for name in names if name in BROKER_CONFIGS]
    defaults = {
        config.name: text for config in known if (text := config.format(config.default)) is not None
    }
    places = (
        (ConfigSource.DYNAMIC_BROKER, settings.own),
        (ConfigSource.DYNAMIC_DEFAULT_BROKER, settings.cluster_defaults),
        (ConfigSource.STATIC_BROKER, settings.given),
        (ConfigSource.DEFAULT, defaults),
    )
    found = (
        ConfigSynonym(config.name, texts[config.name], source)
        for source, texts in places
        for config in known
        if config.name in texts
    )
    return tuple(dropwhile(lambda synonym: synonym.name != names[0], found))
