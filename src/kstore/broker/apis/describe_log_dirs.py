"""DescribeLogDirs (key 35): the data directories, their volumes, and the partitions in each.

- v1: the oldest that is served. v2: flexible. v3: an error for the whole request. v4: bytes of the
  volume, all and usable. v5: cordoned directories.

A directory that has failed is told with KAFKA_STORAGE_ERROR and no partitions. Sizes are those of
the batches; indexes and preallocated room are not counted. A partition on its way to another
directory is in both, and its copy tells how many offsets it lacks. No directory is ever cordoned.
Left out: quotas (throttle time is 0) and authorization, until there are users.
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
        logs = {key: log for one in directories for key, log in one.logs.items()}
        return DescribeLogDirsResponse(results=[_result(request, one, logs) for one in directories])

    broker = context.broker
    return broker.runtime.run_in_worker(broker.log_dirs.describe).map(respond)


def _result(
    request: DescribeLogDirsRequest, directory: LogDir, logs: Mapping[tuple[str, int], Log]
) -> DescribeLogDirsResult:
    result = DescribeLogDirsResult(log_dir=str(directory.path))
    if directory.volume is None:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
    else:
        result.total_bytes, result.usable_bytes = directory.volume
        topics: dict[str, DescribeLogDirsTopic] = {}
        _add(request, topics, directory.logs, directory.logs)
        _add(request, topics, directory.futures, logs)
        result.topics = list(topics.values())
    return result


def _add(
    request: DescribeLogDirsRequest,
    topics: dict[str, DescribeLogDirsTopic],
    logs: Mapping[tuple[str, int], Log],
    sources: Mapping[tuple[str, int], Log],
) -> None:
    """Adds those of `logs` that were asked for; `sources` are what they are copies of."""
    if request.topics is None:
        wanted = sorted(logs)
    else:
        asked = [
            (topic.topic, partition) for topic in request.topics for partition in topic.partitions
        ]
        wanted = [key for key in dict.fromkeys(asked) if key in logs]
    for name, partition in wanted:
        log = logs[name, partition]
        topic = topics.setdefault(name, DescribeLogDirsTopic(name=name))
        topic.partitions.append(
            DescribeLogDirsPartition(
                partition_index=partition,
                partition_size=log.size,
                offset_lag=_lag(log, sources.get((name, partition), log)),
                is_future_key=sources is not logs,
            )
        )


def _lag(log: Log, source: Log) -> int:
    if log.failed is not None or source.failed is not None:
        return LAG_UNKNOWN
    return source.log_end_offset - log.log_end_offset


API = Api(ApiKey.DESCRIBE_LOG_DIRS, handle)
