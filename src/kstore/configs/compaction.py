"""The broker configs of compaction: the part of `broker` that begins `log.cleaner.`."""

from __future__ import annotations

from collections.abc import Iterable

from kstore.configs.definitions import Config, ConfigType, at_least, between

__all__ = ["cleaner", "log_compaction"]


def log_compaction() -> Iterable[Config]:
    """Defaults of topic configs; the topic table names them as synonyms."""
    yield Config(
        "log.cleaner.delete.retention.ms",
        ConfigType.LONG,
        86_400_000,
        "Compaction keeps tombstones for so long.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.cleaner.min.compaction.lag.ms",
        ConfigType.LONG,
        0,
        "A record is not compacted earlier.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.cleaner.max.compaction.lag.ms",
        ConfigType.LONG,
        (1 << 63) - 1,
        "A record is compacted no later.",
        at_least(1),
        dynamic=True,
    )
    yield Config(
        "log.cleaner.min.cleanable.ratio",
        ConfigType.DOUBLE,
        0.5,
        "Compaction starts when so large a part of a log is new.",
        between(0, 1),
        dynamic=True,
    )


def cleaner() -> Iterable[Config]:
    """What the cleaner itself goes by."""
    yield Config(
        "log.cleaner.enable",
        ConfigType.BOOLEAN,
        True,
        "Whether logs are compacted whose cleanup.policy says so.",
    )
    yield Config(
        "log.cleaner.threads",
        ConfigType.INT,
        1,
        "Logs that are compacted at the same time, each in a worker.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.cleaner.backoff.ms",
        ConfigType.LONG,
        15_000,
        "How often logs are looked through for what is to be compacted.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.cleaner.dedupe.buffer.size",
        ConfigType.LONG,
        128 << 20,
        "Bytes of the maps of keys, of all compactions together; a key takes 27.",
        dynamic=True,
    )
    yield Config(
        "log.cleaner.io.max.bytes.per.second",
        ConfigType.DOUBLE,
        1.7976931348623157e308,
        "Bytes that all compactions together read and write in a second.",
        dynamic=True,
    )
