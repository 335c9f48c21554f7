"""InitProducerId (key 22): an id for an idempotent producer, or for a transactional one.

- v0-1; v2: flexible. v3: the producer's current id and epoch may be given, to bump the epoch.
  v4: PRODUCER_FENCED may be answered; before it is INVALID_PRODUCER_EPOCH.
  v5: TRANSACTION_ABORTABLE may be answered.

Ids come from blocks that are claimed in the tree before any of them is given, so none is given
twice. An idempotent producer that names its current id gets a new one, as Kafka does. A
transactional producer goes on under its transactional id with a raised epoch, which fences those
before it; if one of them has a transaction open, that is aborted, and CONCURRENT_TRANSACTIONS asks
the new one to come back.

Left out: v6, two-phase commit (KIP-939), which Kafka 4.3 does not advertise either; quotas
(throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.producer_errors import fenced_as_of
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later
from kstore.transactions.values import ProducerIdAndEpoch, ProducerResult
from kstore.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: InitProducerIdRequest, context: RequestContext
) -> InitProducerIdResponse | Later[InitProducerIdResponse]:
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return _response(ProducerResult(ErrorCode.INVALID_REQUEST), context)
    if request.transactional_id is None:
        given = _idempotent(context)
    else:
        expected = None
        if request.producer_id != -1:
            expected = ProducerIdAndEpoch(request.producer_id, request.producer_epoch)
        given = context.broker.transactions.init_producer_id(
            request.transactional_id, request.transaction_timeout_ms, expected
        )
    return given.map(lambda result: _response(result, context))


def _idempotent(context: RequestContext) -> Later[ProducerResult]:
    answer: Later[ProducerResult] = Later()

    def given(producer_id: Later[int]) -> None:
        error = producer_id.error
        if error is None:
            answer.complete(ProducerResult(ErrorCode.NONE, producer_id.result(), 0))
        elif isinstance(error, KafkaError):
            answer.complete(ProducerResult(error.code))
        else:
            answer.fail(error)

    context.broker.producer_ids.next().then(given)
    return answer


def _response(result: ProducerResult, context: RequestContext) -> InitProducerIdResponse:
    return InitProducerIdResponse(
        error_code=fenced_as_of(result.error, context.api_version, knows_from=4),
        producer_id=result.producer_id,
        producer_epoch=result.producer_epoch,
    )


API = Api(ApiKey.INIT_PRODUCER_ID, handle, overlaps=True)
