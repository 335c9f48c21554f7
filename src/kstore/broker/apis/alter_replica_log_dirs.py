"""AlterReplicaLogDirs (key 34): move partitions to another data directory of this broker.

- v1: the oldest that is served. v2: flexible.

The answer says that the move has begun; DescribeLogDirs tells how far it is. For a partition that
is not there yet the directory is remembered, while the broker runs. As in Kafka nothing is moved
while a directory is offline. Left out: quotas, and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

MAX_NAME_SIZE = 255
ADDED_TO_NAME = ".00000000000000000000000000000000-future"
"""What Kafka adds to the name of a partition's directory while it moves (KAFKA-4893)."""


def handle(
    request: AlterReplicaLogDirsRequest, context: RequestContext
) -> AlterReplicaLogDirsResponse:
    wanted = {
        (topic.name, partition): directory.path
        for directory in request.dirs
        for topic in directory.topics
        for partition in topic.partitions
    }
    topics: dict[str, AlterReplicaLogDirTopicResult] = {}
    for (name, partition), path in wanted.items():
        topic = topics.setdefault(name, AlterReplicaLogDirTopicResult(topic_name=name))
        topic.partitions.append(
            AlterReplicaLogDirPartitionResult(
                partition_index=partition, error_code=_move(name, partition, path, context)
            )
        )
    return AlterReplicaLogDirsResponse(results=list(topics.values()))


def _move(topic: str, partition: int, path: str, context: RequestContext) -> ErrorCode:
    if len(f"{topic}-{partition}{ADDED_TO_NAME}") > MAX_NAME_SIZE:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    try:
        context.broker.move(topic, partition, path)
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


API = Api(ApiKey.ALTER_REPLICA_LOG_DIRS, handle)
