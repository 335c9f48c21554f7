"""The values that rooms are given instead of settings.

Each field is a config's name with `.` turned into `_`, and its default is the config's default: a
test holds both together, so that an embedded log and a broker's log behave alike.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GroupConfig", "LogConfig", "NetworkConfig", "TopicDefaults", "TransactionConfig"]


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What one log needs to know: the topic's overrides over the broker's defaults.

    The fields bear the names of topic configs; those of producers and transactions are a broker's.
    `segment_bytes` is `internal.segment.bytes` where that is set.
    """

    segment_bytes: int = 1 << 30
    segment_ms: int = 604_800_000
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    max_message_bytes: int = 1_048_588
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = (1 << 63) - 1
    message_timestamp_after_max_ms: int = 3_600_000
    cleanup_policy: frozenset[str] = frozenset({"delete"})
    retention_bytes: int = -1
    retention_ms: int = 604_800_000
    file_delete_delay_ms: int = 60_000
    flush_messages: int = (1 << 63) - 1
    flush_ms: int = (1 << 63) - 1
    kstore_acks_all_flush: bool = False
    kstore_read_only: bool = False
    min_insync_replicas: int = 1
    producer_id_expiration_ms: int = 86_400_000
    transaction_partition_verification_enable: bool = True
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = (1 << 63) - 1
    delete_retention_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """What the group coordinator needs to know."""

    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    group_max_size: int = (1 << 31) - 1
    group_initial_rebalance_delay_ms: int = 3_000
    offset_metadata_max_bytes: int = 4_096
    offsets_topic_num_partitions: int = 50


@dataclass(frozen=True, slots=True)
class TransactionConfig:
    """What the transaction coordinator needs to know."""

    transaction_max_timeout_ms: int = 900_000
    transactional_id_expiration_ms: int = 604_800_000
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int = 10_000
    transaction_remove_expired_transaction_cleanup_interval_ms: int = 3_600_000
    transaction_state_log_num_partitions: int = 50


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What the listeners and connections need to know."""

    socket_request_max_bytes: int = 104_857_600
    connections_max_idle_ms: int = 600_000
    max_connections: int = (1 << 31) - 1
    max_connections_per_ip: int = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class TopicDefaults:
    """What a new topic gets where the request says -1."""

    num_partitions: int = 1
    default_replication_factor: int = 1
