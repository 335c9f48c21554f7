"""What was acknowledged to a producer is remembered, whichever way the state came to be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kstore._native.batch import BatchHeader, check_batch
from kstore.errors import KafkaError
from kstore.log.producers import Duplicate, ProducerStates
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)

MAX = 2**31 - 1
SEND = st.tuples(
    st.integers(1, 3),  # producer
    st.integers(0, 2),  # epoch
    st.sampled_from(["next", "next", "next", "0", "top", "random"]),
    st.integers(1, 4),  # count
    st.booleans(),  # part of a transaction
)
END = st.tuples(st.integers(1, 3), st.booleans())


def run(steps: list[tuple[object, ...]]) -> tuple[ProducerStates, list[bytes]]:
    """Appends what is accepted; returns the state and the log."""
    states = ProducerStates(verifies=False)
    log: list[bytes] = []
    for step in steps:
        data = marker(states, *step) if len(step) == 2 else batch(states, *step)  # type: ignore[arg-type]
        header = check_batch(data)
        if not header.is_control:
            try:
                if states.check(header) is not None:
                    continue
            except KafkaError:
                continue
        states.replay(header, data)
        log.append(data)
    return states, log


def batch(
    states: ProducerStates, producer: int, epoch: int, kind: str, count: int, transactional: bool
) -> bytes:
    entry = states.get(producer)
    following = 0 if entry is None else (entry.last_sequence + 1) & MAX
    sequence = {"next": following, "0": 0, "top": MAX - 1, "random": 12345}[kind]
    return build_batch(
        [(None, b"")] * count,
        base_offset=states.end_offset,
        producer_id=producer,
        producer_epoch=epoch,
        base_sequence=sequence,
        transactional=transactional,
    )


def marker(states: ProducerStates, producer: int, commit: bool) -> bytes:
    entry = states.get(producer)
    return build_end_transaction_marker(
        EndTransactionMarker(ControlType.COMMIT if commit else ControlType.ABORT, 0),
        producer_id=producer,
        producer_epoch=0 if entry is None else entry.epoch,
        timestamp_ms=5,
        base_offset=states.end_offset,
    )


def summary(states: ProducerStates) -> object:
    return (
        states.end_offset,
        states.first_undecided_offset(),
        sorted(map(repr, states.active())),
    )


def replayed(states: ProducerStates, log: list[bytes]) -> ProducerStates:
    for data in log:
        states.replay(check_batch(data), data)
    return states


@given(st.lists(SEND | END, max_size=40))
@settings(max_examples=150, deadline=None)
def test_replaying_the_log_gives_the_same_state(steps: list[tuple[object, ...]]) -> None:
    states, log = run(steps)
    assert summary(replayed(ProducerStates(), log)) == summary(states)


@given(st.lists(SEND | END, max_size=40), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_a_snapshot_and_the_rest_of_the_log_give_the_same_verdicts(
    steps: list[tuple[object, ...]], cut: int
) -> None:
    states, log = run(steps)
    before = replayed(ProducerStates(), log[:cut])
    restored = ProducerStates()
    restored.load(before.snapshot(), before.end_offset, 0)
    replayed(restored, log[cut:])
    assert restored.end_offset == states.end_offset
    assert restored.first_undecided_offset() == states.first_undecided_offset()
    assert {e.producer_id: (e.epoch, e.last_sequence, e.last_offset) for e in states.active()} == {
        e.producer_id: (e.epoch, e.last_sequence, e.last_offset) for e in restored.active()
    }


@given(st.lists(SEND, max_size=40))
@settings(max_examples=150, deadline=None)
def test_sent_again_at_once_a_batch_is_a_duplicate(steps: list[tuple[object, ...]]) -> None:
    _, log = run(steps)
    states = ProducerStates(verifies=False)
    for data in log:
        header: BatchHeader = check_batch(data)
        states.replay(header, data)
        found = states.check(header)
        assert found == Duplicate(header.base_offset, header.last_offset, header.max_timestamp)
