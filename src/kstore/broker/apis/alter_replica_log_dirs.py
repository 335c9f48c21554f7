"""AlterReplicaLogDirs (key 34): move partitions to another data directory of this broker.

- v1: the oldest that is served. v2: flexible.

A partition that is to be moved to where it is already is moved; any other directory is
LOG_DIR_NOT_FOUND. Left out: quotas (throttle time is 0) and authorization, until
there are users.
"""

from __future__ import annotations

from pathlib import Path

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
        context.broker.log_dirs.check_online(path)
        found = context.broker.partitions.find(topic, partition)
    except KafkaError as error:
        return error.code
    if found.log.failed is not None:
        return ErrorCode.KAFKA_STORAGE_ERROR
    here = found.log.directory.parent == Path(path)
    return ErrorCode.NONE if here else ErrorCode.LOG_DIR_NOT_FOUND


API = Api(ApiKey.ALTER_REPLICA_LOG_DIRS, handle)
