"""ListGroups (key 16): the groups that this broker coordinates.

- v0-2; v1: throttle time. v3: flexible. v4: states, as a filter and in the reply (KIP-518).
  v5: types, likewise (KIP-848).

While groups are being loaded the reply is COORDINATOR_LOAD_IN_PROGRESS, not half a list.

Left out: quotas (throttle time is 0) and authorization, until there are users; other types than
classic.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.wire.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: ListGroupsRequest, context: RequestContext) -> ListGroupsResponse:
    groups = context.broker.groups
    if groups.is_loading:
        return ListGroupsResponse(error_code=ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    return ListGroupsResponse(
        groups=[
            ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type,
                group_state=group.state,
                group_type=group.group_type,
            )
            for group in groups.list_groups(request.states_filter, request.types_filter)
        ]
    )


API = Api(ApiKey.LIST_GROUPS, handle)
