"""LeaveGroup (key 13): members go, and need not be waited for.

- v0-2: one member; v1: throttle time. v3: several members, static ones also by their
  group.instance.id alone, with an error each. v4: flexible. v5: reasons (KIP-800).

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import LeaveRequest, LeaveResult, LeavingMember
from kstore.runtime import Later
from kstore.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: LeaveGroupRequest, context: RequestContext) -> Later[LeaveGroupResponse]:
    if context.api_version < 3:
        alone = LeaveRequest(request.group_id, (LeavingMember(request.member_id),))
        return context.broker.groups.leave(alone).map(_response_for_one)
    members = tuple(
        LeavingMember(member.member_id, member.group_instance_id, member.reason or "")
        for member in request.members
    )
    return context.broker.groups.leave(LeaveRequest(request.group_id, members)).map(_response)


def _response_for_one(result: LeaveResult) -> LeaveGroupResponse:
    error = result.error
    if error is ErrorCode.NONE:
        error = result.members[0].error
    return LeaveGroupResponse(error_code=error)


def _response(result: LeaveResult) -> LeaveGroupResponse:
    return LeaveGroupResponse(
        error_code=result.error,
        members=[
            MemberResponse(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                error_code=member.error,
            )
            for member in result.members
        ],
    )


API = Api(ApiKey.LEAVE_GROUP, handle, overlaps=True)
