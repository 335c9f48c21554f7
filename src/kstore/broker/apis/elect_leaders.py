"""ElectLeaders (key 43): make the preferred replica, or any that is left, the leader.

- v0: the oldest, preferred leaders. v1: unclean elections too (KIP-460), an error of the whole
  reply. v2: flexible.

With one replica each, every partition is led by the one that is preferred: no election is needed.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.wire.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

PREFERRED = 0
UNCLEAN = 1
"""Kafka's ElectionType."""


def handle(request: ElectLeadersRequest, context: RequestContext) -> ElectLeadersResponse:
    topics, partitions = context.broker.image.topics, context.broker.partitions
    if request.election_type not in (PREFERRED, UNCLEAN):
        return ElectLeadersResponse(error_code=ErrorCode.INVALID_REQUEST)
    if request.topic_partitions is None:
        return ElectLeadersResponse(
            replica_election_results=[
                ReplicaElectionResult(
                    topic=topic.name,
                    partition_result=_needed(topic, request.election_type, partitions),
                )
                for topic in topics.values()
            ]
        )
    return ElectLeadersResponse(
        replica_election_results=[
            ReplicaElectionResult(
                topic=wanted.topic,
                partition_result=[
                    _elect(
                        wanted.topic,
                        topics.get(wanted.topic),
                        index,
                        request.election_type,
                        partitions,
                    )
                    for index in wanted.partitions
                ],
            )
            for wanted in request.topic_partitions
        ]
    )


def _needed(topic: TopicImage, election_type: int, partitions: Partitions) -> list[PartitionResult]:
    """The partitions that lack their leader."""
    results = (
        _elect(topic.name, topic, partition.index, election_type, partitions)
        for partition in topic.partitions
    )
    return [result for result in results if result.error_code != ErrorCode.ELECTION_NOT_NEEDED]


def _elect(
    name: str,
    topic: TopicImage | None,
    index: int,
    election_type: int,
    partitions: Partitions,
) -> PartitionResult:
    if topic is None:
        code, message = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {name}"
    elif not 0 <= index < len(topic.partitions):
        code, message = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {name}-{index}"
    elif not partitions.is_offline(name, index) and _has_leader(
        topic.partitions[index], election_type
    ):
        code, message = (
            ErrorCode.ELECTION_NOT_NEEDED,
            "Leader election not needed for topic partition.",
        )
    elif election_type == PREFERRED:
        code, message = (
            ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
            "The preferred leader was not available.",
        )
    else:
        code, message = (
            ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
            "Eligible topic partition leaders are not available.",
        )
    return PartitionResult(partition_id=index, error_code=code, error_message=message)


def _has_leader(partition: PartitionImage, election_type: int) -> bool:
    if election_type == PREFERRED:
        return partition.leader == partition.replicas[0]
    return partition.leader >= 0


API = Api(ApiKey.ELECT_LEADERS, handle)
