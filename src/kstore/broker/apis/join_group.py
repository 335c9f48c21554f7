"""JoinGroup (key 11): a member joins, or joins again, and waits for the next generation.

- v0: the session timeout is the rebalance timeout, too. v1: a rebalance timeout. v2: throttle time.
  v4: a new member is told its id first and joins a second time (KIP-394). v5: group.instance.id.
  v6: flexible. v7: the reply names the protocol type; no protocol is null instead of "" (KIP-559).
  v8: the client's reason (KIP-800). v9: a leader that is back may skip the assignment (KIP-814).

Left out: quotas (throttle time is 0) and authorization, until there are users; groups of the new
protocol (KIP-848), which a classic member can join in Kafka.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.groups.values import JoinRequest, JoinResult
from kstore.runtime import Later
from kstore.wire.messages.join_group import (
    JoinGroupRequest,
    JoinGroupResponse,
    JoinGroupResponseMember,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: JoinGroupRequest, context: RequestContext) -> Later[JoinGroupResponse]:
    version = context.api_version
    join = JoinRequest(
        group_id=request.group_id,
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=(
            request.session_timeout_ms if version == 0 else request.rebalance_timeout_ms
        ),
        protocol_type=request.protocol_type,
        protocols=tuple((protocol.name, protocol.metadata) for protocol in request.protocols),
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        client_id=context.client_id or "",
        # As Java prints an address; Kafka's tools and stored groups show it so.
        client_host=f"/{context.client_host}",
        reason=request.reason or "",
        member_id_required=version >= 4,
        can_skip_assignment=version >= 9,
    )
    return context.broker.groups.join(join).map(lambda result: _response(result, version))


def _response(result: JoinResult, version: int) -> JoinGroupResponse:
    return JoinGroupResponse(
        error_code=result.error,
        generation_id=result.generation,
        protocol_type=result.protocol_type,
        protocol_name=result.protocol if version >= 7 else result.protocol or "",
        leader=result.leader,
        skip_assignment=result.skip_assignment,
        member_id=result.member_id,
        members=[
            JoinGroupResponseMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                metadata=member.metadata,
            )
            for member in result.members
        ],
    )


API = Api(ApiKey.JOIN_GROUP, handle, overlaps=True)
