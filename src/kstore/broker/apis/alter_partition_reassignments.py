"""AlterPartitionReassignments (key 45): move partitions to other brokers (KIP-455).

- v0: the oldest. v1: whether the number of replicas may change (KIP-860).

With one broker there is nowhere to move to: the replicas that a partition has are accepted, and all
others refused as Kafka refuses brokers that it does not know. Nothing is ever in progress, so there
is nothing to cancel.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import MetadataImage
from kstore.metadata.placement import check_replicas
from kstore.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: AlterPartitionReassignmentsRequest, context: RequestContext
) -> AlterPartitionReassignmentsResponse:
    image = context.broker.image
    return AlterPartitionReassignmentsResponse(
        error_message=None,
        allow_replication_factor_change=request.allow_replication_factor_change,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[_answer(image, topic.name, wanted) for wanted in topic.partitions],
            )
            for topic in request.topics
        ],
    )


def _answer(
    image: MetadataImage, name: str, wanted: ReassignablePartition
) -> ReassignablePartitionResponse:
    answer = ReassignablePartitionResponse(
        partition_index=wanted.partition_index, error_message=None
    )
    try:
        _check(image, name, wanted)
    except KafkaError as error:
        answer.error_code = error.code
        answer.error_message = error.message
    return answer


def _check(image: MetadataImage, name: str, wanted: ReassignablePartition) -> None:
    topic = image.topics.get(name)
    if topic is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {name}."
        )
    if not 0 <= wanted.partition_index < len(topic.partitions):
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            f"Unable to find partition {name}:{wanted.partition_index}.",
        )
    if wanted.replicas is None:
        raise KafkaError(
            ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment is in progress."
        )
    check_replicas(wanted.replicas, image.brokers, None)
    if tuple(wanted.replicas) != topic.partitions[wanted.partition_index].replicas:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "Partitions can't move between brokers here."
        )


API = Api(ApiKey.ALTER_PARTITION_REASSIGNMENTS, handle)
