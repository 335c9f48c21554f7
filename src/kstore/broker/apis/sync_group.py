"""SyncGroup (key 14): the leader hands in everyone's part, the members fetch theirs.

- v0-2; v1: throttle time. v3: group.instance.id. v4: flexible. v5: protocol type and name, which
  must be those of the generation and may not be missing (KIP-559); the reply names them.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import SyncRequest, SyncResult
from kstore.runtime import Later
from kstore.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: SyncGroupRequest, context: RequestContext
) -> SyncGroupResponse | Later[SyncGroupResponse]:
    if context.api_version >= 5 and None in (request.protocol_type, request.protocol_name):
        return SyncGroupResponse(error_code=ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    sync = SyncRequest(
        group_id=request.group_id,
        member_id=request.member_id,
        generation=request.generation_id,
        instance_id=request.group_instance_id,
        protocol_type=request.protocol_type,
        protocol=request.protocol_name,
        assignments=tuple((given.member_id, given.assignment) for given in request.assignments),
    )
    return context.broker.groups.sync(sync).map(_response)


def _response(result: SyncResult) -> SyncGroupResponse:
    return SyncGroupResponse(
        error_code=result.error,
        protocol_type=result.protocol_type,
        protocol_name=result.protocol,
        assignment=result.assignment,
    )


API = Api(ApiKey.SYNC_GROUP, handle, overlaps=True)
