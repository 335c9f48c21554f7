"""InitProducerId (key 22): an id for an idempotent producer.

- v0-1; v2: flexible. v3: the producer's current id and epoch may be given, to bump the epoch.
  v4: PRODUCER_FENCED may be answered. v5: TRANSACTION_ABORTABLE may be answered.

Ids come from blocks that are claimed in the tree before any of them is given, so none is given
twice. An idempotent producer that names its current id gets a new one, as Kafka does.

Left out: transactional ids, until there is a transaction coordinator. They get INVALID_REQUEST,
which every client takes as final, rather than an error that would be tried again for ever.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later
from kstore.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: InitProducerIdRequest, context: RequestContext
) -> InitProducerIdResponse | Later[InitProducerIdResponse]:
    if request.transactional_id is not None:
        return InitProducerIdResponse(error_code=ErrorCode.INVALID_REQUEST, producer_id=-1)
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return InitProducerIdResponse(error_code=ErrorCode.INVALID_REQUEST, producer_id=-1)
    answer: Later[InitProducerIdResponse] = Later()

    def given(producer_id: Later[int]) -> None:
        error = producer_id.error
        if error is None:
            answer.complete(
                InitProducerIdResponse(producer_id=producer_id.result(), producer_epoch=0)
            )
        elif isinstance(error, KafkaError):
            answer.complete(InitProducerIdResponse(error_code=error.code, producer_id=-1))
        else:
            answer.fail(error)

    context.broker.producer_ids.next().then(given)
    return answer


API = Api(ApiKey.INIT_PRODUCER_ID, handle, overlaps=True)
