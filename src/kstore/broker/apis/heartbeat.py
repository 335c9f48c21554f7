"""Heartbeat (key 12): a member's sign of life, answered with whether it must join again.

- v0-2; v1: throttle time. v3: group.instance.id. v4: flexible.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.groups.values import HeartbeatRequest as Heartbeat
from kstore.runtime import Later
from kstore.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: HeartbeatRequest, context: RequestContext) -> Later[HeartbeatResponse]:
    heartbeat = Heartbeat(
        group_id=request.group_id,
        member_id=request.member_id,
        generation=request.generation_id,
        instance_id=request.group_instance_id,
    )
    return context.broker.groups.heartbeat(heartbeat).map(
        lambda error: HeartbeatResponse(error_code=error)
    )


API = Api(ApiKey.HEARTBEAT, handle, overlaps=True)
