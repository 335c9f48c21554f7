"""DeleteGroups (key 42): remove empty groups, with their offsets.

- v0-2; v1: throttle time. v2: flexible.

The reply leaves when the removals are stored. Left out: quotas (throttle time is 0) and
authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.runtime import Later
from kstore.wire.messages.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: DeleteGroupsRequest, context: RequestContext) -> Later[DeleteGroupsResponse]:
    group_ids = list(dict.fromkeys(request.groups_names))
    deletions = [context.broker.groups.delete_group(group_id) for group_id in group_ids]

    def respond(done: list[Later[ErrorCode]]) -> DeleteGroupsResponse:
        return DeleteGroupsResponse(
            results=[
                DeletableGroupResult(group_id=group_id, error_code=deletion.result())
                for group_id, deletion in zip(group_ids, done, strict=True)
            ]
        )

    return Later.all(deletions).map(respond)


API = Api(ApiKey.DELETE_GROUPS, handle)
