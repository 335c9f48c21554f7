"""What tests of groups' offsets ask: commits and looks by a client that is no member."""

from __future__ import annotations

import time

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.raw_client import RawClient

DEADLINE_S = 30

_NOT_YET = (ErrorCode.not_coordinator, ErrorCode.coordinator_load_in_progress)


def commit(client: RawClient, group: str, topic: str, offset: int, metadata: str = "") -> ErrorCode:
    """What the coordinator answers about partition 0."""
    partition = {
        "partition_index": 0,
        "committed_offset": offset,
        "committed_metadata": metadata,
    }
    values = {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "topics": [{"name": topic, "partitions": [partition]}],
    }
    reply = client.ask(ApiKey.OFFSET_COMMIT, 8, values)
    code: ErrorCode = reply.topics[0].partitions[0].error_code
    return code


def committed(client: RawClient, group: str, topic: str) -> int:
    values = {"group_id": group, "topics": [{"name": topic, "partition_indexes": [0]}]}
    reply = client.ask(ApiKey.OFFSET_FETCH, 7, values)
    (found,) = reply.topics[0].partitions
    assert (reply.error_code, found.error_code) == (ErrorCode.none, ErrorCode.none)
    return int(found.committed_offset)


def first_commit(client: RawClient, group: str, topic: str, offset: int) -> None:
    """Commits as soon as the group has a coordinator, which makes `__consumer_offsets`."""
    find = {"key": group, "key_type": 0}
    deadline = time.monotonic() + DEADLINE_S
    while client.ask(ApiKey.FIND_COORDINATOR, 3, find).error_code is not ErrorCode.none:
        assert time.monotonic() < deadline
    while (code := commit(client, group, topic, offset)) is not ErrorCode.none:
        assert code in _NOT_YET
        assert time.monotonic() < deadline


def wait_for_groups(client: RawClient, group: str, topic: str) -> None:
    """Until a broker that was started again has read what groups have committed."""
    deadline = time.monotonic() + DEADLINE_S
    values = {"group_id": group, "topics": [{"name": topic, "partition_indexes": [0]}]}
    while (code := client.ask(ApiKey.OFFSET_FETCH, 7, values).error_code) is not ErrorCode.none:
        assert code in _NOT_YET
        assert time.monotonic() < deadline
