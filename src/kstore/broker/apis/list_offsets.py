"""ListOffsets (key 2): an offset by timestamp, or one of the special ones.

- v1: the oldest that is served. v2: isolation level. v4: the client's leader epoch is checked and
  ours told. v6: flexible. v7: -3 is the record with the largest timestamp (KIP-734). v8: -4 is the
  earliest local offset (KIP-405). v9: -5 is the latest tiered offset (KIP-1005). v10: a timeout for
  tiered storage. v11: -6 is the earliest offset that is yet to be tiered (KIP-1023).

Nothing is tiered here, so -4 is the log start offset, and -5 and -6 are answered as Kafka does with
tiered storage off.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.partition import Partition
from kstore.errors import ErrorCode, KafkaError
from kstore.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6

SINCE_VERSION = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
"""The version that brought each special timestamp."""

READ_COMMITTED = 1


def handle(request: ListOffsetsRequest, context: RequestContext) -> ListOffsetsResponse:
    seen: set[tuple[str, int]] = set()
    repeated: set[tuple[str, int]] = set()
    for topic in request.topics:
        for wanted in topic.partitions:
            key = (topic.name, wanted.partition_index)
            (repeated if key in seen else seen).add(key)
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[
                    _answer(topic.name, wanted, request, context)
                    if (topic.name, wanted.partition_index) not in repeated
                    else _refused(wanted, ErrorCode.INVALID_REQUEST)
                    for wanted in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def _answer(
    topic: str, wanted: ListOffsetsPartition, request: ListOffsetsRequest, context: RequestContext
) -> ListOffsetsPartitionResponse:
    if wanted.timestamp < 0:
        since = SINCE_VERSION.get(wanted.timestamp, 0 if wanted.timestamp >= EARLIEST else 99)
        if context.api_version < since:
            return _refused(wanted, ErrorCode.UNSUPPORTED_VERSION)
    try:
        partition = context.broker.partitions.find(topic, wanted.partition_index)
        partition.check_leader_epoch(wanted.current_leader_epoch)
        timestamp_ms, offset, leader_epoch = _find(
            partition, wanted.timestamp, request.isolation_level == READ_COMMITTED
        )
    except KafkaError as error:
        return _refused(wanted, error.code)
    return ListOffsetsPartitionResponse(
        partition_index=wanted.partition_index,
        timestamp=timestamp_ms,
        offset=offset,
        leader_epoch=leader_epoch if context.api_version >= 4 else -1,
    )


def _find(partition: Partition, timestamp_ms: int, committed_only: bool) -> tuple[int, int, int]:
    """`(timestamp_ms, offset, leader_epoch)`, -1 for what there isn't."""
    log = partition.log
    end = partition.last_stable_offset if committed_only else partition.high_watermark
    if timestamp_ms == LATEST:
        return -1, end, partition.leader_epoch
    if timestamp_ms in (EARLIEST, EARLIEST_LOCAL):
        return -1, log.log_start_offset, log.leader_epoch_of(log.log_start_offset)
    if timestamp_ms == LATEST_TIERED:
        return -1, -1, -1
    if timestamp_ms == EARLIEST_PENDING_UPLOAD:
        return -1, -1, -1
    found = (
        log.max_timestamp()
        if timestamp_ms == MAX_TIMESTAMP
        else log.offset_for_timestamp(timestamp_ms)
    )
    if found is None or found.offset >= end:
        return -1, -1, -1
    return found.timestamp_ms, found.offset, found.leader_epoch


def _refused(wanted: ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(
        partition_index=wanted.partition_index, error_code=code, timestamp=-1, offset=-1
    )


API = Api(ApiKey.LIST_OFFSETS, handle)
