"""ListTransactions (key 66): the transactional ids that this broker coordinates (KIP-664).

- v0: filters by state and producer id. v1: by how long a transaction runs (KIP-994). v2: by a
  regular expression for the id (KIP-1152); one that makes no sense is INVALID_REGULAR_EXPRESSION.

While transactions are being loaded the reply is COORDINATOR_LOAD_IN_PROGRESS, not half a list.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.transactions.values import TransactionFilter
from kstore.wire.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    TransactionState,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: ListTransactionsRequest, context: RequestContext) -> ListTransactionsResponse:
    listings = context.broker.transactions.list_transactions(
        TransactionFilter(
            request.state_filters,
            request.producer_id_filters,
            request.duration_filter,
            request.transactional_id_pattern or "",
        )
    )
    return ListTransactionsResponse(
        error_code=listings.error,
        unknown_state_filters=list(listings.unknown_states),
        transaction_states=[
            TransactionState(
                transactional_id=one.transactional_id,
                producer_id=one.producer_id,
                transaction_state=one.state.label,
            )
            for one in listings.transactions
        ],
    )


API = Api(ApiKey.LIST_TRANSACTIONS, handle)
