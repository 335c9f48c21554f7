"""Metadata (key 3): brokers, and the partitions of topics with their leaders.

- v0: an empty list means all topics. v1: null means all, empty none; rack, controller, internal.
  v2: cluster id. v4: whether topics may be created. v5: offline replicas. v7: leader epoch.
  v8: authorized operations on request. v9: flexible. v10: topics by id in the reply; v12: also in
  the request. v11: no operations on the cluster. v13: an error of the whole reply.

Topics that don't exist are created when the client allows it and `auto.create.topics.enable` is on.
As in Kafka (AutoTopicCreationManager) the reply does not wait for that: it says
UNKNOWN_TOPIC_OR_PARTITION, and the client comes back. Clients that ask for a topic just after they
deleted it count on it (kafka-go).

A partition whose data directory has failed has no leader, and its replica is offline.

Left out: an authorizer. Without one everything is allowed, and that is what authorized operations
say, as in Kafka.
"""

from __future__ import annotations

import logging

from kstore.broker.api import Api
from kstore.broker.authorized_operations import ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import TopicImage
from kstore.metadata.names import check_topic_name, is_internal
from kstore.metadata.topics import NewTopic
from kstore.runtime import Later
from kstore.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from kstore.wire.schema import ZERO_UUID
from kstore.wire.versions import ApiKey

__all__ = ["API"]

logger = logging.getLogger(__name__)

NO_LEADER = -1


def handle(request: MetadataRequest, context: RequestContext) -> MetadataResponse:
    if request.topics is None or (context.api_version == 0 and not request.topics):
        image = context.broker.image
        return _response(
            request, context, [_found(topic, request, context) for topic in image.topics.values()]
        )
    response = _response(request, context, _named(request, context))
    missing = _to_create(request.topics, request, context)
    if missing:
        context.broker.create_topics(missing).then(_log_failures)
    return response


def _to_create(
    topics: list[MetadataRequestTopic], request: MetadataRequest, context: RequestContext
) -> list[NewTopic]:
    """The topics that this request makes come into being."""
    broker = context.broker
    allowed = context.api_version < 4 or request.allow_auto_topic_creation
    if not allowed or not broker.auto_create_topics:
        return []
    found: dict[str, NewTopic] = {}
    for topic in topics:
        name = topic.name
        if name is None or topic.topic_id != ZERO_UUID or name in broker.image.topics:
            continue
        try:
            check_topic_name(name)
        except KafkaError:
            continue
        found[name] = broker.automatic_topic(name)
    return list(found.values())


def _log_failures(created: Later[dict[str, KafkaError]]) -> None:
    """Nobody else hears why a topic did not come; that it came meanwhile is no failure."""
    if created.error is not None:
        logger.warning("topics not created automatically error=%s", created.error)
        return
    for name, error in created.result().items():
        if error.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
            logger.warning("topic not created automatically topic=%s error=%s", name, error)


def _named(request: MetadataRequest, context: RequestContext) -> list[MetadataResponseTopic]:
    """The topics that were asked for, each once."""
    image = context.broker.image
    results = []
    seen: set[object] = set()
    for wanted in request.topics or []:
        key = wanted.topic_id if wanted.topic_id != ZERO_UUID else wanted.name
        if key in seen:
            continue
        seen.add(key)
        if wanted.topic_id != ZERO_UUID:
            topic = image.topic_ids.get(wanted.topic_id)
            missing = MetadataResponseTopic(
                error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=wanted.topic_id
            )
        else:
            name = wanted.name or ""
            topic = image.topics.get(name)
            missing = MetadataResponseTopic(error_code=_why_missing(name), name=name)
            missing.is_internal = is_internal(name)
        results.append(missing if topic is None else _found(topic, request, context))
        if context.api_version < 12 and results[-1].name is None:
            results[-1].name = ""
    return results


def _why_missing(name: str) -> ErrorCode:
    try:
        check_topic_name(name)
    except KafkaError as error:
        return error.code
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def _found(
    topic: TopicImage, request: MetadataRequest, context: RequestContext
) -> MetadataResponseTopic:
    found = MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.internal,
        partitions=[
            MetadataResponsePartition(
                partition_index=partition.index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
            )
            for partition in topic.partitions
        ],
    )
    if context.broker.partitions.any_offline:
        for told in found.partitions:
            if context.broker.partitions.is_offline(topic.name, told.partition_index):
                told.error_code = ErrorCode.LEADER_NOT_AVAILABLE
                told.leader_id = NO_LEADER
                told.leader_epoch += 1  # as the next leader's will be, after a start
                told.isr_nodes = []
                told.offline_replicas = told.replica_nodes
    if request.include_topic_authorized_operations:
        found.topic_authorized_operations = ALL_TOPIC_OPERATIONS
    return found


def _response(
    request: MetadataRequest, context: RequestContext, topics: list[MetadataResponseTopic]
) -> MetadataResponse:
    image = context.broker.image
    response = MetadataResponse(
        brokers=[
            MetadataResponseBroker(
                node_id=broker.node_id, host=broker.host, port=broker.port, rack=broker.rack
            )
            for broker in image.brokers.values()
        ],
        cluster_id=image.cluster_id,
        controller_id=image.controller_id,
        topics=topics,
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = ALL_CLUSTER_OPERATIONS
    return response


API = Api(ApiKey.METADATA, handle)
