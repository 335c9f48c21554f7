"""DescribeTransactions (key 65): transactional ids one by one (KIP-664).

- v0, the only one.

Of a transaction that is on its way to its end, the partitions are told that have no marker yet.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.transactions.values import TransactionDescription
from kstore.wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionState,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: DescribeTransactionsRequest, context: RequestContext
) -> DescribeTransactionsResponse:
    describe = context.broker.transactions.describe
    return DescribeTransactionsResponse(
        transaction_states=[_state(describe(one)) for one in request.transactional_ids]
    )


def _state(described: TransactionDescription) -> TransactionState:
    topics: dict[str, list[int]] = {}
    for topic, index in sorted(described.partitions):
        topics.setdefault(topic, []).append(index)
    return TransactionState(
        error_code=described.error,
        transactional_id=described.transactional_id,
        transaction_state=described.state,
        transaction_timeout_ms=described.timeout_ms,
        transaction_start_time_ms=described.start_ms,
        producer_id=described.producer_id,
        producer_epoch=described.producer_epoch,
        topics=[TopicData(topic=topic, partitions=indexes) for topic, indexes in topics.items()],
    )


API = Api(ApiKey.DESCRIBE_TRANSACTIONS, handle)
