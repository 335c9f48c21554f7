"""DescribeLogDirs (key 35): the data directories, their volumes, and the partitions in each.

- v1: the oldest that is served. v2: flexible. v3: an error for the whole request. v4: bytes of the
  volume, all and usable. v5: cordoned directories.

A directory that has failed is told with KAFKA_STORAGE_ERROR and no partitions. Sizes are those of
the batches; indexes and preallocated room are not counted. No directory is ever cordoned, and no
partition on its way to another one. Left out: quotas (throttle time is 0) and authorization, until
there are users.
"""

from __future__ import annotations

from collections.abc import Mapping

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.log_dirs import LogDir
from kstore.errors import ErrorCode
from kstore.log.log import Log
from kstore.runtime import Later
from kstore.wire.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

LAG_UNKNOWN = -1
"""Of a partition that is offline (Kafka's INVALID_OFFSET_LAG)."""


def handle(
    request: DescribeLogDirsRequest, context: RequestContext
) -> Later[DescribeLogDirsResponse]:
    def respond(directories: list[LogDir]) -> DescribeLogDirsResponse:
        return DescribeLogDirsResponse(results=[_result(request, one) for one in directories])

    broker = context.broker
    return broker.runtime.run_in_worker(broker.log_dirs.describe).map(respond)


def _result(request: DescribeLogDirsRequest, directory: LogDir) -> DescribeLogDirsResult:
    result = DescribeLogDirsResult(log_dir=str(directory.path))
    if directory.volume is None:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
    else:
        result.total_bytes, result.usable_bytes = directory.volume
        result.topics = _topics(request, directory.logs)
    return result


def _topics(
    request: DescribeLogDirsRequest, logs: Mapping[tuple[str, int], Log]
) -> list[DescribeLogDirsTopic]:
    if request.topics is None:
        wanted = sorted(logs)
    else:
        asked = [
            (topic.topic, partition) for topic in request.topics for partition in topic.partitions
        ]
        wanted = [key for key in dict.fromkeys(asked) if key in logs]
    topics: dict[str, DescribeLogDirsTopic] = {}
    for name, partition in wanted:
        log = logs[name, partition]
        topic = topics.setdefault(name, DescribeLogDirsTopic(name=name))
        topic.partitions.append(
            DescribeLogDirsPartition(
                partition_index=partition,
                partition_size=log.size,
                offset_lag=0 if log.failed is None else LAG_UNKNOWN,
            )
        )
    return list(topics.values())


API = Api(ApiKey.DESCRIBE_LOG_DIRS, handle)
