"""DescribeQuorum (key 55): who votes on the cluster's metadata (KIP-595).

- v0: the oldest. v1: when replicas last fetched and were caught up (KIP-836). v2: messages,
  directory ids and the voters' addresses (KIP-853).

Metadata is kept in a tree and not in a replicated log, and the controller alone writes it. So the
controller is told as the leader and the one voter of `__cluster_metadata-0`, at the controller's
epoch; as there are no offsets, they are -1, Kafka's "unknown".
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.metadata.image import MetadataImage
from kstore.wire.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Listener,
    Node,
    ReplicaState,
    RequestTopicData,
    ResponsePartitionData,
    ResponseTopicData,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

METADATA_TOPIC = "__cluster_metadata"
METADATA_PARTITION = 0


def handle(request: DescribeQuorumRequest, context: RequestContext) -> DescribeQuorumResponse:
    image = context.broker.image
    if not _asks_for_metadata(request.topics):
        return DescribeQuorumResponse(
            error_message=None,
            topics=[
                ResponseTopicData(
                    topic_name=topic.topic_name,
                    partitions=[
                        ResponsePartitionData(
                            partition_index=partition.partition_index,
                            error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                            error_message=None,
                        )
                        for partition in topic.partitions
                    ],
                )
                for topic in request.topics
            ],
        )
    now_ms = context.broker.runtime.time_ms()
    topic = ResponseTopicData(topic_name=METADATA_TOPIC, partitions=[_partition(image, now_ms)])
    response = DescribeQuorumResponse(error_message=None, topics=[topic])
    if context.api_version >= 2:
        response.nodes = [
            Node(
                node_id=broker.node_id,
                listeners=[Listener(name="PLAINTEXT", host=broker.host, port=broker.port)],
            )
            for broker in image.brokers.values()
            if broker.node_id == image.controller_id
        ]
    return response


def _asks_for_metadata(topics: list[RequestTopicData]) -> bool:
    """Whether the metadata's partition is asked for, and nothing else."""
    return (
        len(topics) == 1
        and topics[0].topic_name == METADATA_TOPIC
        and [one.partition_index for one in topics[0].partitions] == [METADATA_PARTITION]
    )


def _partition(image: MetadataImage, now_ms: int) -> ResponsePartitionData:
    return ResponsePartitionData(
        partition_index=METADATA_PARTITION,
        error_message=None,
        leader_id=image.controller_id,
        leader_epoch=image.controller_epoch,
        high_watermark=-1,
        current_voters=[
            ReplicaState(
                replica_id=image.controller_id,
                log_end_offset=-1,
                last_fetch_timestamp=now_ms,
                last_caught_up_timestamp=now_ms,
            )
        ],
    )


API = Api(ApiKey.DESCRIBE_QUORUM, handle)
