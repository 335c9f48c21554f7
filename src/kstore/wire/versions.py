"""The APIs of the protocol and the one table of what this broker advertises.

The numbers and names are Kafka 4.3's (`org.apache.kafka.common.protocol.ApiKeys`). An API stands in
ADVERTISED when every version of its range is answered in full. Immutable; any thread.
"""

from __future__ import annotations

from enum import IntEnum

from kstore.wire.messages import MODULES
from kstore.wire.schema import VersionRange as ApiRange

__all__ = ["ADVERTISED", "FLEXIBLE_FROM", "ApiKey", "ApiRange", "flexible_from"]


class ApiKey(IntEnum):
    """The number of an API that a broker speaks to clients."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    INIT_PRODUCER_ID = 22
    OFFSET_FOR_LEADER_EPOCH = 23
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    DELETE_RECORDS = 21
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    DESCRIBE_CONFIGS = 32
    ALTER_CONFIGS = 33
    ALTER_REPLICA_LOG_DIRS = 34
    DESCRIBE_LOG_DIRS = 35
    CREATE_PARTITIONS = 37
    DELETE_GROUPS = 42
    ELECT_LEADERS = 43
    INCREMENTAL_ALTER_CONFIGS = 44
    ALTER_PARTITION_REASSIGNMENTS = 45
    LIST_PARTITION_REASSIGNMENTS = 46
    OFFSET_DELETE = 47
    DESCRIBE_QUORUM = 55
    UPDATE_FEATURES = 57
    DESCRIBE_CLUSTER = 60
    DESCRIBE_PRODUCERS = 61
    DESCRIBE_TRANSACTIONS = 65
    LIST_TRANSACTIONS = 66
    LIST_CONFIG_RESOURCES = 74
    DESCRIBE_TOPIC_PARTITIONS = 75


ADVERTISED: dict[ApiKey, ApiRange] = {
    # 0 to 2 are refused, but a bug in librdkafka needs to see them (KAFKA-18659).
    ApiKey.PRODUCE: ApiRange(0, 13),
    ApiKey.FETCH: ApiRange(4, 18),
    ApiKey.LIST_OFFSETS: ApiRange(1, 11),
    ApiKey.METADATA: ApiRange(0, 13),
    ApiKey.OFFSET_COMMIT: ApiRange(2, 10),
    ApiKey.OFFSET_FETCH: ApiRange(1, 10),
    ApiKey.FIND_COORDINATOR: ApiRange(0, 6),
    ApiKey.JOIN_GROUP: ApiRange(0, 9),
    ApiKey.HEARTBEAT: ApiRange(0, 4),
    ApiKey.LEAVE_GROUP: ApiRange(0, 5),
    ApiKey.SYNC_GROUP: ApiRange(0, 5),
    ApiKey.DESCRIBE_GROUPS: ApiRange(0, 6),
    ApiKey.LIST_GROUPS: ApiRange(0, 5),
    ApiKey.API_VERSIONS: ApiRange(0, 4),
    ApiKey.CREATE_TOPICS: ApiRange(2, 7),
    ApiKey.DELETE_TOPICS: ApiRange(1, 6),
    # 6 is known to the schema but unstable in 4.3 (KIP-939).
    ApiKey.INIT_PRODUCER_ID: ApiRange(0, 5),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: ApiRange(2, 4),
    ApiKey.WRITE_TXN_MARKERS: ApiRange(1, 2),
    ApiKey.TXN_OFFSET_COMMIT: ApiRange(0, 5),
    ApiKey.DELETE_RECORDS: ApiRange(0, 2),
    ApiKey.DESCRIBE_CONFIGS: ApiRange(1, 4),
    ApiKey.ALTER_CONFIGS: ApiRange(0, 2),
    ApiKey.CREATE_PARTITIONS: ApiRange(0, 3),
    ApiKey.ELECT_LEADERS: ApiRange(0, 2),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: ApiRange(0, 1),
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: ApiRange(0, 1),
    ApiKey.LIST_PARTITION_REASSIGNMENTS: ApiRange(0, 0),
    ApiKey.DESCRIBE_QUORUM: ApiRange(0, 2),
    ApiKey.UPDATE_FEATURES: ApiRange(0, 2),
    ApiKey.DESCRIBE_CLUSTER: ApiRange(0, 2),
    ApiKey.LIST_CONFIG_RESOURCES: ApiRange(0, 1),
    ApiKey.DESCRIBE_TOPIC_PARTITIONS: ApiRange(0, 0),
    ApiKey.ALTER_REPLICA_LOG_DIRS: ApiRange(1, 2),
    ApiKey.DESCRIBE_LOG_DIRS: ApiRange(1, 5),
    ApiKey.DELETE_GROUPS: ApiRange(0, 2),
    ApiKey.OFFSET_DELETE: ApiRange(0, 0),
    ApiKey.DESCRIBE_PRODUCERS: ApiRange(0, 0),
    ApiKey.ADD_PARTITIONS_TO_TXN: ApiRange(0, 5),
    ApiKey.ADD_OFFSETS_TO_TXN: ApiRange(0, 4),
    ApiKey.END_TXN: ApiRange(0, 5),
    ApiKey.DESCRIBE_TRANSACTIONS: ApiRange(0, 0),
    ApiKey.LIST_TRANSACTIONS: ApiRange(0, 2),
}

FLEXIBLE_FROM: dict[int, int] = {key: module.flexible_from for key, module in MODULES.items()}


def flexible_from(api_key: int) -> int:
    """The first version with compact lengths and tagged fields; KeyError for an unknown API."""
    return FLEXIBLE_FROM[api_key]
