"""Fetch sessions by the rules of KIP-227, on a clock moved by hand."""

from __future__ import annotations

import pytest

from kstore._native.ends import LogEnds, PartitionEnds
from kstore._native.fetch import FetchData, encode_fetch_reply, parse_fetch
from kstore.broker.apis.fetch import SHAPES
from kstore.broker.fetch_sessions import EVICTION_MS, FetchSession, FetchSessions
from kstore.errors import ErrorCode, KafkaError
from kstore.testing.manual import ManualRuntime
from kstore.wire.codec import encode_request
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic

VERSION = 12


def request(
    session_id: int,
    epoch: int,
    *indexes: int,
    forgotten: tuple[int, ...] = (),
    offset: int = 0,
    version: int = VERSION,
) -> FetchData:
    message = FetchRequest(
        session_id=session_id,
        session_epoch=epoch,
        topics=[
            FetchTopic(
                topic="t" if version < 13 else "",
                partitions=[
                    FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=100)
                    for index in indexes
                ],
            )
        ]
        if indexes
        else [],
        forgotten_topics_data=[ForgottenTopic(topic="t", partitions=list(forgotten))]
        if forgotten
        else [],
    )
    return parse_fetch(encode_request(message, version), 0, SHAPES[version])


def indexes(session: FetchSession) -> list[int]:
    return [index for _, index in session.partitions]


def tells(session: FetchSession) -> bool:
    """Whether a reply of this session tells of its partition, which never changes."""
    (wanted,) = session.partitions.values()
    wanted.found(PartitionEnds(LogEnds()), None, None)
    partitions, incremental = session.partitions, session.incremental
    nothing = encode_fetch_reply(1, SHAPES[VERSION], 0, 0, {}, False)
    return encode_fetch_reply(1, SHAPES[VERSION], 0, 0, partitions, incremental) != nothing


def code_of(sessions: FetchSessions, asked: FetchData) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        sessions.session_for(asked)
    return caught.value.code


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def sessions(runtime: ManualRuntime) -> FetchSessions:
    return FetchSessions(runtime, 2)


def test_a_session_is_made_changed_and_ended(sessions: FetchSessions) -> None:
    session = sessions.session_for(request(0, 0, 1, 2, 3))
    assert session.id > 0
    again = sessions.session_for(request(session.id, 1, 4, forgotten=(2,)))
    assert again is session
    assert indexes(session) == [1, 3, 4]
    assert session.incremental
    last = sessions.session_for(request(session.id, -1, 9))
    assert last.id == 0
    assert indexes(last) == [9]
    assert code_of(sessions, request(session.id, 2)) == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_epochs_must_follow_each_other(sessions: FetchSessions) -> None:
    session = sessions.session_for(request(0, 0, 1))
    assert code_of(sessions, request(session.id, 2)) == ErrorCode.INVALID_FETCH_SESSION_EPOCH
    sessions.session_for(request(session.id, 1))
    assert code_of(sessions, request(session.id, 1)) == ErrorCode.INVALID_FETCH_SESSION_EPOCH
    session.epoch = (1 << 31) - 1
    sessions.session_for(request(session.id, (1 << 31) - 1))
    assert session.epoch == 1


def test_a_session_speaks_of_topics_in_one_way(sessions: FetchSessions) -> None:
    session = sessions.session_for(request(0, 0, 1))
    asked = request(session.id, 1, 2, version=13)
    assert code_of(sessions, asked) == ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR


def test_nothing_to_keep_makes_no_session(sessions: FetchSessions) -> None:
    assert sessions.session_for(request(0, 0)).id == 0
    assert len(sessions) == 0


def test_a_full_cache_gives_up_the_stale_and_then_the_small(
    sessions: FetchSessions, runtime: ManualRuntime
) -> None:
    small = sessions.session_for(request(0, 0, 1))
    large = sessions.session_for(request(0, 0, 1, 2, 3))
    assert sessions.session_for(request(0, 0, 1, 2)).id == 0
    runtime.advance(EVICTION_MS + 1)
    sessions.session_for(request(small.id, 1))
    sessions.session_for(request(large.id, 1))
    third = sessions.session_for(request(0, 0, 1, 2))
    assert third.id > 0, "the small one has had its time"
    assert code_of(sessions, request(small.id, 2)) == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    runtime.advance(EVICTION_MS + 1)
    assert sessions.session_for(request(0, 0, 1)).id > 0, "nobody used the others"


def test_what_was_told_survives_a_new_position(sessions: FetchSessions) -> None:
    session = sessions.session_for(request(0, 0, 1))
    assert not session.incremental
    assert tells(session), "a full reply tells everything"
    sessions.session_for(request(session.id, 1))
    assert session.incremental
    assert not tells(session)
    sessions.session_for(request(session.id, 2, 1, offset=5))
    (wanted,) = session.partitions.values()
    assert wanted.fetch_offset == 5
    assert not tells(session)


def test_partitions_that_were_served_wait_for_the_others(sessions: FetchSessions) -> None:
    session = sessions.session_for(request(0, 0, 1, 2, 3))
    session.served([("t", 1), ("t", 2)])
    assert indexes(session) == [3, 1, 2]
