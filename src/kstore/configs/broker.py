"""The table of broker configs: exactly those that some code reads.

Adding a config that nothing reads fails a test; a Kafka name that is missing here only earns its
user a warning. Types, ranges and defaults are those of Kafka 4.3 (its `ServerConfigs`,
`ServerLogConfigs`, `SocketServerConfigs`, `ReplicationConfigs`, `GroupCoordinatorConfig`); where a
default is ours, `differs` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kstore.configs.compaction import cleaner, log_compaction
from kstore.configs.definitions import (
    Check,
    Config,
    ConfigError,
    ConfigType,
    ConfigValue,
    ListOf,
    at_least,
    between,
    invalid,
    one_of,
)
from kstore.configs.transactions import transactions
from kstore.configs.verification import verification

__all__ = [
    "BROKER_CONFIGS",
    "COMPRESSION_LEVELS",
    "COMPRESSION_TYPES",
    "DYNAMIC_BROKER_CONFIGS",
    "INT_MAX",
    "LONG_MAX",
    "TIMESTAMP_TYPES",
]

INT_MAX = (1 << 31) - 1
LONG_MAX = (1 << 63) - 1

COMPRESSION_TYPES = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
TIMESTAMP_TYPES = ("CreateTime", "LogAppendTime")


def _gzip_level(name: str, value: ConfigValue) -> None:
    assert isinstance(value, int)
    if value != -1 and not 1 <= value <= 9:
        raise invalid(name, value, "Value must be between 1 and 9 or equal to -1")


COMPRESSION_LEVELS: Mapping[str, tuple[int, Check]] = {
    "gzip": (-1, _gzip_level),
    "lz4": (9, between(1, 17)),
    "zstd": (3, between(-131_072, 22)),
}
"""The default level of each codec that has levels, and which ones there are."""

_BOOLEAN = ConfigType.BOOLEAN
_SHORT = ConfigType.SHORT
_INT = ConfigType.INT
_LONG = ConfigType.LONG
_STRING = ConfigType.STRING
_LIST = ConfigType.LIST


def _identity() -> Iterable[Config]:
    """Who this broker is, where it listens and where its data lie."""
    yield Config(
        "node.id",
        _INT,
        1,
        "The number of this broker in its cluster.",
        at_least(0),
        differs="Kafka demands it; a broker on its own needs no choice",
    )
    yield Config("broker.id", _INT, None, "The older name of node.id.", at_least(0))
    yield Config("broker.rack", _STRING, None, "The rack of this broker, told to clients.")
    yield Config(
        "log.dirs",
        _LIST,
        None,
        "The data directories, each on a disk of its own. If not set, log.dir is used.",
        ListOf(empty=False),
    )
    yield Config(
        "log.dir",
        _LIST,
        ("kstore-data",),
        "The data directories, if log.dirs is not set.",
        ListOf(empty=False),
        differs="Kafka's is below the directory for temporary files, which loses data",
    )
    yield Config(
        "metadata.log.dir",
        _STRING,
        None,
        "The directory of the metadata file. If not set, the first of log.dirs.",
    )
    yield Config(
        "listeners",
        _LIST,
        ("PLAINTEXT://127.0.0.1:9092",),
        "Where the broker listens: NAME://host:port. Port 0 takes a free one.",
        ListOf(empty=False),
        differs="Kafka listens on every interface, open to everybody who reaches it",
    )
    yield Config(
        "advertised.listeners",
        _LIST,
        None,
        "The address that clients are told to connect to. If not set, that of listeners.",
        ListOf(empty=False),
    )


def _listener_names() -> Iterable[Config]:
    """What the names of listeners mean."""
    yield Config(
        "listener.security.protocol.map",
        _LIST,
        tuple(f"{name}:{name}" for name in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
        "The security protocol of each listener name: name:protocol.",
    )
    yield Config(
        "controller.listener.names",
        _LIST,
        (),
        "Listeners of a KRaft controller; they are passed over, as there is none here.",
    )


def _connections() -> Iterable[Config]:
    """Limits on connections and requests."""
    yield Config(
        "socket.request.max.bytes",
        _INT,
        100 << 20,
        "The largest request taken, in bytes.",
        at_least(1),
    )
    yield Config(
        "max.connections",
        _INT,
        INT_MAX,
        "How many connections may be open at a time.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "max.connections.per.ip",
        _INT,
        INT_MAX,
        "How many connections may be open at a time from one address.",
        at_least(1),
        dynamic=True,
    )
    yield Config(
        "connections.max.idle.ms",
        _LONG,
        600_000,
        "A connection without a request for so long is closed. Negative: never.",
    )
    yield Config(
        "fetch.max.bytes",
        _INT,
        55 << 20,
        "The most bytes of records in one fetch reply; the first batch always fits.",
        at_least(1024),
    )
    yield Config(
        "max.request.partition.size.limit",
        _INT,
        2000,
        "The most partitions in one reply of DescribeTopicPartitions.",
        at_least(1),
    )
    yield Config(
        "max.incremental.fetch.session.cache.slots",
        _INT,
        1000,
        "How many fetch sessions are kept.",
        at_least(0),
    )


def _topics() -> Iterable[Config]:
    """How topics come and go."""
    yield Config(
        "auto.create.topics.enable",
        _BOOLEAN,
        True,
        "Whether asking for a topic that does not exist creates it.",
    )
    yield Config("delete.topic.enable", _BOOLEAN, True, "Whether topics may be deleted.")
    yield Config(
        "num.partitions",
        _INT,
        1,
        "Partitions of a new topic whose creator leaves the choice to the broker.",
        at_least(1),
    )
    yield Config(
        "default.replication.factor",
        _INT,
        1,
        "Replicas of a new topic whose creator leaves the choice to the broker.",
    )


def _log_defaults() -> Iterable[Config]:
    """Defaults of topic configs; the topic table names them as synonyms."""
    yield from _log_segments()
    yield from _log_retention()
    yield from log_compaction()
    yield from _log_batches()


def _log_segments() -> Iterable[Config]:
    yield Config(
        "log.segment.bytes",
        _INT,
        1 << 30,
        "A segment is closed before it grows beyond so many bytes.",
        at_least(1 << 20),
        dynamic=True,
    )
    yield Config(
        "internal.segment.bytes",
        _INT,
        None,
        "The segment size of every topic, free of the lower limit. For tests.",
        at_least(1),
        internal=True,
        differs="Kafka knows this name for topics only",
    )
    yield Config(
        "log.roll.ms",
        _LONG,
        None,
        "A segment is closed when its first record is older. If not set, log.roll.hours.",
        at_least(1),
        dynamic=True,
    )
    yield Config(
        "log.roll.hours", _INT, 168, "log.roll.ms in hours, used if that is not set.", at_least(1)
    )
    yield Config(
        "log.roll.jitter.ms",
        _LONG,
        None,
        "Up to so much is taken off log.roll.ms. If not set, log.roll.jitter.hours.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.roll.jitter.hours",
        _INT,
        0,
        "log.roll.jitter.ms in hours, used if that is not set.",
        at_least(0),
    )
    yield Config(
        "log.index.size.max.bytes",
        _INT,
        10 << 20,
        "The largest size of an offset or time index.",
        at_least(4),
        dynamic=True,
    )
    yield Config(
        "log.index.interval.bytes",
        _INT,
        4096,
        "An index entry is written after so many bytes of batches.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.cleanup.policy",
        _LIST,
        ("delete",),
        "What happens to old segments: delete, compact, both or nothing.",
        ListOf(("compact", "delete")),
        dynamic=True,
    )


def _not_zero(name: str, value: ConfigValue) -> None:
    if value == 0:
        raise ConfigError(
            name, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
        )


def _log_retention() -> Iterable[Config]:
    yield Config(
        "log.retention.bytes",
        _LONG,
        -1,
        "Old segments go when a partition is larger. Negative: no limit.",
        dynamic=True,
    )
    yield Config(
        "log.retention.ms",
        _LONG,
        None,
        "Segments go when their newest record is older. Negative: no limit. If not set, "
        "log.retention.minutes.",
        _not_zero,
        dynamic=True,
    )
    yield Config(
        "log.retention.minutes",
        _INT,
        None,
        "log.retention.ms in minutes, used if that is not set. If not set either, "
        "log.retention.hours.",
    )
    yield Config(
        "log.retention.hours",
        _INT,
        168,
        "log.retention.ms in hours, used if neither that nor log.retention.minutes is set.",
    )


def _log_batches() -> Iterable[Config]:
    yield Config(
        "message.max.bytes",
        _INT,
        1_048_588,
        "The largest record batch taken, as sent.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "compression.type",
        _STRING,
        "producer",
        "The codec of stored batches; producer keeps what was sent.",
        one_of(*COMPRESSION_TYPES),
        dynamic=True,
    )
    for codec, (level, check) in COMPRESSION_LEVELS.items():
        yield Config(
            f"compression.{codec}.level",
            _INT,
            level,
            f"The level of compression if compression.type is {codec}.",
            check,
            dynamic=True,
        )
    yield Config(
        "min.insync.replicas",
        _INT,
        1,
        "With acks=all, how many replicas must have a batch.",
        at_least(1),
        dynamic=True,
    )
    yield Config(
        "log.message.timestamp.type",
        _STRING,
        "CreateTime",
        "Whether a record's timestamp is the producer's or the time of the append.",
        one_of(*TIMESTAMP_TYPES),
        dynamic=True,
    )
    yield Config(
        "log.message.timestamp.before.max.ms",
        _LONG,
        LONG_MAX,
        "How far a record's timestamp may lie in the past.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.message.timestamp.after.max.ms",
        _LONG,
        3_600_000,
        "How far a record's timestamp may lie in the future.",
        at_least(0),
        dynamic=True,
    )


def _log_care() -> Iterable[Config]:
    """Syncs, checkpoints and recovery."""
    yield Config(
        "log.flush.interval.messages",
        _LONG,
        LONG_MAX,
        "A log is synced to disk after so many records.",
        at_least(1),
        dynamic=True,
    )
    yield Config(
        "log.flush.interval.ms",
        _LONG,
        None,
        "A record is synced to disk after so long. If not set, log.flush.scheduler.interval.ms.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "log.flush.scheduler.interval.ms",
        _LONG,
        LONG_MAX,
        "How often logs are looked over for what is to be synced.",
        at_least(0),
    )
    yield Config(
        "kstore.acks.all.flush",
        _BOOLEAN,
        False,
        "Whether acks=all waits until a batch is on disk, and consumers see it only then. One sync "
        "is shared by all that wait.",
        dynamic=True,
        differs="Kafka has only flush.messages=1, which is a sync for each batch",
    )
    yield Config(
        "log.flush.offset.checkpoint.interval.ms",
        _INT,
        60_000,
        "How often the recovery points are written down.",
        at_least(0),
    )
    yield Config(
        "replica.high.watermark.checkpoint.interval.ms",
        _LONG,
        5_000,
        "How often the high watermarks are written down.",
    )
    yield Config(
        "log.retention.check.interval.ms",
        _LONG,
        300_000,
        "How often partitions are looked through for segments that retention lets go.",
        at_least(1),
    )
    yield Config(
        "log.segment.delete.delay.ms",
        _LONG,
        60_000,
        "The files of a deleted topic or segment leave the disk after so long.",
        at_least(0),
        dynamic=True,
    )
    yield Config(
        "num.recovery.threads.per.data.dir",
        _INT,
        2,
        "How many workers recover logs at start.",
        at_least(1),
    )
    yield Config(
        "producer.id.expiration.ms",
        _INT,
        86_400_000,
        "An idempotent producer that wrote nothing for so long is forgotten.",
        at_least(1),
        dynamic=True,
    )


def _groups() -> Iterable[Config]:
    """Consumer groups and the topic of their offsets."""
    yield Config(
        "group.min.session.timeout.ms", _INT, 6_000, "The shortest session timeout allowed."
    )
    yield Config(
        "group.max.session.timeout.ms", _INT, 1_800_000, "The longest session timeout allowed."
    )
    yield Config(
        "group.max.size", _INT, INT_MAX, "How many members one group may have.", at_least(1)
    )
    yield Config(
        "group.initial.rebalance.delay.ms",
        _INT,
        3_000,
        "How long the first rebalance of a new group waits for more members.",
    )
    yield Config(
        "offset.metadata.max.bytes",
        _INT,
        4096,
        "The longest metadata of a committed offset.",
    )
    yield Config(
        "offsets.topic.num.partitions",
        _INT,
        50,
        "Partitions of __consumer_offsets. Not to be changed once it exists.",
        at_least(1),
    )
    yield Config(
        "offsets.topic.replication.factor",
        _SHORT,
        3,
        "Replicas of __consumer_offsets; no more than there are brokers.",
        at_least(1),
    )
    yield Config(
        "offsets.topic.segment.bytes",
        _INT,
        100 << 20,
        "Segment size of __consumer_offsets.",
        at_least(1),
    )


def _table() -> Mapping[str, Config]:
    configs = [
        *_identity(),
        *_listener_names(),
        *_connections(),
        *_topics(),
        *_log_defaults(),
        *cleaner(),
        *_log_care(),
        *verification(),
        *_groups(),
        *transactions(),
    ]
    return MappingProxyType({config.name: config for config in configs})


BROKER_CONFIGS: Mapping[str, Config] = _table()

DYNAMIC_BROKER_CONFIGS: Mapping[str, Config] = MappingProxyType(
    {name: config for name, config in BROKER_CONFIGS.items() if config.dynamic}
)
"""Those that may change while the broker runs."""
