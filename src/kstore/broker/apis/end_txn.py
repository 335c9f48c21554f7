"""EndTxn (key 26): commit a transaction, or abort it.

- v0-1. v2: PRODUCER_FENCED may be answered; before it is INVALID_PRODUCER_EPOCH. v3: flexible.
  v4: TRANSACTION_ABORTABLE may be answered. v5: transaction version 2 (KIP-890): the epoch is
  raised with the end of each transaction, and the reply tells the producer who it is from now on.

The reply leaves when the outcome is stored; the markers follow, whatever happens.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.producer_errors import fenced_as_of
from kstore.runtime import Later
from kstore.transactions.values import ProducerResult
from kstore.wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: EndTxnRequest, context: RequestContext) -> Later[EndTxnResponse]:
    ending = context.broker.transactions.end(
        request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        request.committed,
        client_version=2 if context.api_version >= 5 else 0,
    )

    def response(result: ProducerResult) -> EndTxnResponse:
        return EndTxnResponse(
            error_code=fenced_as_of(result.error, context.api_version, knows_from=2),
            producer_id=result.producer_id,
            producer_epoch=result.producer_epoch,
        )

    return ending.map(response)


API = Api(ApiKey.END_TXN, handle, overlaps=True)
