"""AddOffsetsToTxn (key 25): a group whose offsets are going to be committed in a transaction.

- v0-1. v2: PRODUCER_FENCED may be answered; before it is INVALID_PRODUCER_EPOCH. v3: flexible.
  v4: TRANSACTION_ABORTABLE may be answered.

The group's partition of `__consumer_offsets` takes part in the transaction. A client of transaction
version 2 does not ask: TxnOffsetCommit does it for it.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.coordination import OFFSETS_TOPIC
from kstore.broker.producer_errors import fenced_as_of
from kstore.runtime import Later
from kstore.transactions.values import PartitionErrors
from kstore.wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: AddOffsetsToTxnRequest, context: RequestContext
) -> Later[AddOffsetsToTxnResponse]:
    partition = OFFSETS_TOPIC, context.broker.groups.partition_for(request.group_id)
    adding = context.broker.transactions.add_partitions(
        request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        (partition,),
        client_version=0,
    )

    def response(errors: PartitionErrors) -> AddOffsetsToTxnResponse:
        error = fenced_as_of(errors[partition], context.api_version, knows_from=2)
        return AddOffsetsToTxnResponse(error_code=error)

    return adding.map(response)


API = Api(ApiKey.ADD_OFFSETS_TO_TXN, handle, overlaps=True)
