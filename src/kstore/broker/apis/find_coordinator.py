"""FindCoordinator (key 10): which broker coordinates a group or a transactional id.

- v0: groups only. v1: key types, throttle time, error messages. v3: flexible. v4: several keys
  (KIP-699). v5: TRANSACTION_ABORTABLE may be answered. v6: share groups (KIP-932).

A group's coordinator leads its partition of `__consumer_offsets`, that of a transactional id its
partition of `__transaction_state`. If that topic does not exist it is made, and the reply waits for
it (Kafka answers COORDINATOR_NOT_AVAILABLE and lets the client come back).

Left out: the share key type and unknown ones, which get INVALID_REQUEST as in a Kafka without them;
quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

import logging

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.coordination import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import BrokerImage
from kstore.runtime import Later
from kstore.wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

logger = logging.getLogger(__name__)

GROUP, TRANSACTION = 0, 1
_TOPICS = {GROUP: OFFSETS_TOPIC, TRANSACTION: TRANSACTIONS_TOPIC}
_NOBODY = BrokerImage(-1, "", -1)
_MESSAGES = {
    ErrorCode.NONE: "NONE",  # Kafka's words for it
    ErrorCode.COORDINATOR_NOT_AVAILABLE: "The coordinator is not available.",
    ErrorCode.INVALID_REQUEST: "There is no coordinator for keys of this type.",
}


def handle(
    request: FindCoordinatorRequest, context: RequestContext
) -> FindCoordinatorResponse | Later[FindCoordinatorResponse]:
    topic = _TOPICS.get(request.key_type)
    if topic is None:
        return _response(request, context)
    answer: Later[FindCoordinatorResponse] = Later()

    def ensured(done: Later[None]) -> None:
        if done.error is not None:
            if not isinstance(done.error, KafkaError):
                answer.fail(done.error)
                return
            logger.warning("%s could not be made: %s", topic, done.error)
        answer.complete(_response(request, context))

    context.broker.ensure_internal_topic(topic).then(ensured)
    return answer


def _response(request: FindCoordinatorRequest, context: RequestContext) -> FindCoordinatorResponse:
    if context.api_version >= 4:
        return FindCoordinatorResponse(
            coordinators=[
                _batched(key, request.key_type, context) for key in request.coordinator_keys
            ]
        )
    error, broker = _coordinator(request.key, request.key_type, context)
    return FindCoordinatorResponse(
        error_code=error,
        error_message=_MESSAGES[error],
        node_id=broker.node_id,
        host=broker.host,
        port=broker.port,
    )


def _batched(key: str, key_type: int, context: RequestContext) -> Coordinator:
    error, broker = _coordinator(key, key_type, context)
    return Coordinator(
        key=key,
        node_id=broker.node_id,
        host=broker.host,
        port=broker.port,
        error_code=error,
        error_message="" if error is ErrorCode.NONE else _MESSAGES[error],
    )


def _coordinator(key: str, key_type: int, context: RequestContext) -> tuple[ErrorCode, BrokerImage]:
    name = _TOPICS.get(key_type)
    if name is None:
        return ErrorCode.INVALID_REQUEST, _NOBODY
    broker, image = context.broker, context.broker.image
    if key_type == GROUP:
        index = broker.groups.partition_for(key)
    else:
        index = broker.transactions.partition_for(key)
    topic = image.topics.get(name)
    if topic is None or index >= len(topic.partitions) or broker.partitions.is_offline(name, index):
        return ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY
    node = image.brokers.get(topic.partitions[index].leader)
    if node is None:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY
    return ErrorCode.NONE, node


API = Api(ApiKey.FIND_COORDINATOR, handle)
