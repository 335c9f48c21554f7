"""ListPartitionReassignments (key 46): partitions that are moving between brokers (KIP-455).

- v0: the oldest. There is one broker and nothing moves, so the list is always empty.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    _: ListPartitionReassignmentsRequest, __: RequestContext
) -> ListPartitionReassignmentsResponse:
    return ListPartitionReassignmentsResponse(error_message=None)


API = Api(ApiKey.LIST_PARTITION_REASSIGNMENTS, handle)
