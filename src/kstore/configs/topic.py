"""The table of topic configs: every one that Kafka 4.3 knows (its `LogConfig`), and ours.

Those of Kafka that nothing reads yet are taken, checked and kept too, so that a topic's description
gives back what its creator asked for. A synonym names the broker config that gives the default;
synonyms that are missing in the broker's table leave Kafka's default. Ours begin with `kstore.`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kstore.configs.broker import (
    COMPRESSION_LEVELS,
    COMPRESSION_TYPES,
    LONG_MAX,
    TIMESTAMP_TYPES,
)
from kstore.configs.definitions import (
    Check,
    Config,
    ConfigError,
    ConfigType,
    ConfigValue,
    ListOf,
    Synonym,
    at_least,
    between,
    invalid,
    one_of,
)
from kstore.errors import ErrorCode, KafkaError

__all__ = ["TOPIC_CONFIGS", "check_sizes", "check_topic_configs"]

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000

_MAX_VALUE_SIZE = (1 << 15) - 1
"""Kafka keeps no longer value of a config (`ConfigurationControlManager`)."""

_THROTTLED_REPLICA = re.compile(r"([0-9]+:[0-9]+)?", re.ASCII)


def check_topic_configs(overrides: Mapping[str, str | None]) -> None:
    """Whether a topic may have these configs.

    Raises KafkaError(INVALID_CONFIG) with Kafka's message for an unknown name, a value of the wrong
    type or out of range, a missing value, or values that contradict each other.
    """
    try:
        _check(overrides)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from None


def _check(overrides: Mapping[str, str | None]) -> None:
    missing = [name for name, text in overrides.items() if text is None]
    if missing:
        raise ConfigError(
            missing[0], f"Null value not supported for topic configs: {','.join(missing)}"
        )
    values: dict[str, ConfigValue] = {}
    for name, text in overrides.items():
        assert text is not None
        check_sizes({name: text})
        if name not in TOPIC_CONFIGS:
            raise ConfigError(name, f"Unknown topic config name: {name}")
        values[name] = TOPIC_CONFIGS[name].parse(text)
    _check_together(values)


def check_sizes(texts: Mapping[str, str]) -> None:
    """Raises KafkaError(INVALID_CONFIG) for a value longer than Kafka keeps."""
    if any(len(text) > _MAX_VALUE_SIZE for text in texts.values()):
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "The configuration value cannot be added because it exceeds the maximum value "
            f"size of {_MAX_VALUE_SIZE} bytes.",
        )


def _check_together(values: Mapping[str, ConfigValue]) -> None:
    lags: list[int] = []
    for name in ("min.compaction.lag.ms", "max.compaction.lag.ms"):
        lag = values.get(name, TOPIC_CONFIGS[name].default)
        assert isinstance(lag, int)
        lags.append(lag)
    if lags[0] > lags[1]:
        raise ConfigError(
            "min.compaction.lag.ms",
            f"conflict topic config setting min.compaction.lag.ms ({lags[0]}) > "
            f"max.compaction.lag.ms ({lags[1]})",
        )
    if values.get("remote.storage.enable"):
        raise ConfigError(
            "remote.storage.enable",
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage.",
        )


def _throttled_replicas(name: str, value: ConfigValue) -> None:
    assert isinstance(value, tuple)
    if "".join(value) != "*" and not all(_THROTTLED_REPLICA.fullmatch(item) for item in value):
        raise invalid(
            name,
            f"[{', '.join(value)}]",
            f"{name} must be the literal '*' or a list of replicas in the following format: "
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
        )


def _number(
    name: str,
    default: int,
    doc: str,
    check: Check | None,
    *synonyms: str | Synonym,
    type_: ConfigType = ConfigType.LONG,
) -> Config:
    return Config(
        name,
        type_,
        default,
        doc,
        check,
        dynamic=True,
        synonyms=tuple(Synonym(s) if isinstance(s, str) else s for s in synonyms),
    )


def _switch(name: str, doc: str, *synonyms: str) -> Config:
    names = tuple(Synonym(synonym) for synonym in synonyms)
    return Config(name, ConfigType.BOOLEAN, False, doc, dynamic=True, synonyms=names)


def _word(name: str, default: str, doc: str, words: tuple[str, ...], synonym: str) -> Config:
    return Config(
        name,
        ConfigType.STRING,
        default,
        doc,
        one_of(*words),
        dynamic=True,
        synonyms=(Synonym(synonym),),
    )


def _segments() -> Iterable[Config]:
    """When a segment ends, and its indexes."""
    yield _number(
        "segment.bytes",
        1 << 30,
        "A segment is closed before it grows beyond so many bytes.",
        at_least(1 << 20),
        "log.segment.bytes",
        type_=ConfigType.INT,
    )
    yield Config(
        "internal.segment.bytes",
        ConfigType.INT,
        None,
        "segment.bytes without the lower limit. For tests.",
        dynamic=True,
        synonyms=(Synonym("internal.segment.bytes"),),
        internal=True,
    )
    yield _number(
        "segment.ms",
        7 * _DAY_MS,
        "A segment is closed when its first record is older.",
        at_least(1),
        "log.roll.ms",
        Synonym("log.roll.hours", _HOUR_MS),
    )
    yield _number(
        "segment.jitter.ms",
        0,
        "Up to so much is taken off segment.ms.",
        at_least(0),
        "log.roll.jitter.ms",
        Synonym("log.roll.jitter.hours", _HOUR_MS),
    )
    yield _number(
        "segment.index.bytes",
        10 << 20,
        "The largest size of an offset or time index.",
        at_least(4),
        "log.index.size.max.bytes",
        type_=ConfigType.INT,
    )
    yield _number(
        "index.interval.bytes",
        4096,
        "An index entry is written after so many bytes of batches.",
        at_least(0),
        "log.index.interval.bytes",
        type_=ConfigType.INT,
    )


def _files() -> Iterable[Config]:
    """How files are made, synced and removed."""
    yield _switch(
        "preallocate", "Whether a new segment takes its whole size at once.", "log.preallocate"
    )
    yield _number(
        "flush.messages",
        LONG_MAX,
        "The log is synced to disk after so many records.",
        at_least(1),
        "log.flush.interval.messages",
    )
    yield _number(
        "flush.ms",
        LONG_MAX,
        "A record is synced to disk after so long.",
        at_least(0),
        "log.flush.interval.ms",
        "log.flush.scheduler.interval.ms",
    )
    yield _switch(
        "kstore.acks.all.flush",
        "Whether acks=all waits until a batch is on disk, and consumers see it only then. One sync "
        "is shared by all that wait.",
        "kstore.acks.all.flush",
    )
    yield _number(
        "file.delete.delay.ms",
        60_000,
        "A removed file leaves the disk after so long.",
        at_least(0),
        "log.segment.delete.delay.ms",
    )


def _retention() -> Iterable[Config]:
    """What happens to old records: deletion, compaction."""
    yield Config(
        "cleanup.policy",
        ConfigType.LIST,
        ("delete",),
        "What happens to old segments: delete, compact, both or nothing.",
        ListOf(("compact", "delete")),
        dynamic=True,
        synonyms=(Synonym("log.cleanup.policy"),),
    )
    yield _number(
        "retention.bytes",
        -1,
        "Old segments go when a partition is larger. Negative: no limit.",
        None,
        "log.retention.bytes",
    )
    yield _number(
        "retention.ms",
        7 * _DAY_MS,
        "Segments go when their newest record is older. -1: no limit.",
        at_least(-1),
        "log.retention.ms",
        Synonym("log.retention.minutes", _MINUTE_MS),
        Synonym("log.retention.hours", _HOUR_MS),
    )
    yield _number(
        "delete.retention.ms",
        _DAY_MS,
        "Compaction keeps tombstones for so long.",
        at_least(0),
        "log.cleaner.delete.retention.ms",
    )
    yield _number(
        "min.compaction.lag.ms",
        0,
        "A record is not compacted earlier.",
        at_least(0),
        "log.cleaner.min.compaction.lag.ms",
    )
    yield _number(
        "max.compaction.lag.ms",
        LONG_MAX,
        "A record is compacted no later.",
        at_least(1),
        "log.cleaner.max.compaction.lag.ms",
    )
    yield Config(
        "min.cleanable.dirty.ratio",
        ConfigType.DOUBLE,
        0.5,
        "Compaction starts when so large a part of the log is new.",
        between(0, 1),
        dynamic=True,
        synonyms=(Synonym("log.cleaner.min.cleanable.ratio"),),
    )


def _remote_storage() -> Iterable[Config]:
    """Kept for clients; old segments don't move anywhere."""
    yield _switch("remote.storage.enable", "Whether old segments move to remote storage.")
    yield _number(
        "local.retention.ms",
        -2,
        "retention.ms of the local part with remote storage. -2: the same.",
        at_least(-2),
        "log.local.retention.ms",
    )
    yield _number(
        "local.retention.bytes",
        -2,
        "retention.bytes of the local part with remote storage. -2: the same.",
        at_least(-2),
        "log.local.retention.bytes",
    )
    yield _switch("remote.log.copy.disable", "Whether no more segments move to remote storage.")
    yield _switch(
        "remote.log.delete.on.disable", "Whether switching remote storage off deletes its data."
    )


def _records() -> Iterable[Config]:
    """What records may be like and how they are stored."""
    yield _number(
        "max.message.bytes",
        1_048_588,
        "The largest record batch taken, as sent.",
        at_least(0),
        "message.max.bytes",
        type_=ConfigType.INT,
    )
    yield _word(
        "compression.type",
        "producer",
        "The codec of stored batches; producer keeps what was sent.",
        COMPRESSION_TYPES,
        "compression.type",
    )
    for codec, (default, check) in COMPRESSION_LEVELS.items():
        name = f"compression.{codec}.level"
        doc = f"The level of compression if compression.type is {codec}."
        yield _number(name, default, doc, check, name, type_=ConfigType.INT)
    yield _word(
        "message.timestamp.type",
        "CreateTime",
        "Whether a record's timestamp is the producer's or the time of the append.",
        TIMESTAMP_TYPES,
        "log.message.timestamp.type",
    )
    yield _number(
        "message.timestamp.before.max.ms",
        LONG_MAX,
        "How far a record's timestamp may lie in the past.",
        at_least(0),
        "log.message.timestamp.before.max.ms",
    )
    yield _number(
        "message.timestamp.after.max.ms",
        _HOUR_MS,
        "How far a record's timestamp may lie in the future.",
        at_least(0),
        "log.message.timestamp.after.max.ms",
    )
    yield _switch(
        "kstore.read.only",
        "Whether nothing is appended, no records are deleted when asked, and the topic can't be "
        "deleted. Retention and compaction go on unless they are switched off too.",
    )


def _replication() -> Iterable[Config]:
    yield _number(
        "min.insync.replicas",
        1,
        "With acks=all, how many replicas must have a batch.",
        at_least(1),
        "min.insync.replicas",
        type_=ConfigType.INT,
    )
    yield _switch(
        "unclean.leader.election.enable",
        "Whether a replica that lacks records may become leader.",
        "unclean.leader.election.enable",
    )
    for side in ("leader", "follower"):
        yield Config(
            f"{side}.replication.throttled.replicas",
            ConfigType.LIST,
            (),
            f"Replicas whose traffic is slowed down at the {side}: partition:broker, or *.",
            _throttled_replicas,
            dynamic=True,
        )


def _table() -> Mapping[str, Config]:
    configs = [
        *_segments(),
        *_files(),
        *_retention(),
        *_remote_storage(),
        *_records(),
        *_replication(),
    ]
    return MappingProxyType({config.name: config for config in sorted(configs, key=_by_name)})


def _by_name(config: Config) -> str:
    return config.name


TOPIC_CONFIGS: Mapping[str, Config] = _table()
"""By name, in the order of names."""
