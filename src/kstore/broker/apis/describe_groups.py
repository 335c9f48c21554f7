"""DescribeGroups (key 15): classic groups with their members.

- v0-2; v1: throttle time. v3: authorized operations on request. v4: group.instance.id. v5:
  flexible. v6: a group that does not exist is GROUP_ID_NOT_FOUND (KIP-1043); before, it is "Dead"
  without an error.

Left out: quotas (throttle time is 0) and authorization, until there are users. Without an
authorizer everything is allowed, and that is what authorized operations say, as in Kafka.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import GroupDescription
from kstore.wire.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

ALL_GROUP_OPERATIONS = 0b1101_0100_1000
"""Bits by the codes of AclOperation: read 3, delete 6, describe 8, describe_configs 10,
alter_configs 11."""


def handle(request: DescribeGroupsRequest, context: RequestContext) -> DescribeGroupsResponse:
    groups = context.broker.groups
    return DescribeGroupsResponse(
        groups=[
            _group(
                groups.describe_group(group_id),
                request.include_authorized_operations,
                context.api_version,
            )
            for group_id in request.groups
        ]
    )


def _group(group: GroupDescription, with_operations: bool, version: int) -> DescribedGroup:
    described = DescribedGroup(
        group_id=group.group_id,
        group_state=group.state,
        protocol_type=group.protocol_type,
        protocol_data=group.protocol,
        members=[
            DescribedGroupMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=member.metadata,
                member_assignment=member.assignment,
            )
            for member in group.members
        ],
    )
    if version >= 6 or group.error is not ErrorCode.GROUP_ID_NOT_FOUND:
        described.error_code = group.error
    if version >= 6:
        described.error_message = group.error_message
    if with_operations and described.error_code == ErrorCode.NONE:
        described.authorized_operations = ALL_GROUP_OPERATIONS
    return described


API = Api(ApiKey.DESCRIBE_GROUPS, handle)
