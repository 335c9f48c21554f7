"""The same steps for Kafka's ProducerStateManager and for ours: every outcome is the same.

tests/golden/producers.txt is what Kafka's own class made of random steps; `tests/golden/make.py`
wrote it, tests/golden/ProducerTrace.java says what the lines mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kstore._native.batch import BatchHeader, check_batch
from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers import ProducerStates, decode_snapshot, encode_snapshot
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)

TRACE = Path(__file__).parents[2] / "golden" / "producers.txt"
EXPIRATION_MS = 5_000
EXCEPTIONS = {
    ErrorCode.INVALID_PRODUCER_EPOCH: "InvalidProducerEpochException",
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: "OutOfOrderSequenceException",
    ErrorCode.INVALID_TXN_STATE: "InvalidTxnStateException",
    ErrorCode.TRANSACTION_COORDINATOR_FENCED: "TransactionCoordinatorFencedException",
}


def apply(states: ProducerStates, step: str, fields: list[int]) -> str:
    """One step, with its outcome in the words of the trace."""
    try:
        if step == "data":
            return append(states, *fields)
        return end_transaction(states, *fields)
    except KafkaError as error:
        return EXCEPTIONS[error.code]


def append(
    states: ProducerStates,
    producer_id: int,
    epoch: int,
    sequence: int,
    count: int,
    offset: int,
    timestamp_ms: int,
    transactional: int,
    client: int,
) -> str:
    header = check_batch(
        build_batch(
            [(None, b"v", timestamp_ms)] * count,
            base_offset=offset,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
            transactional=bool(transactional),
        )
    )
    duplicate = states.check(header, by_client=bool(client))
    if duplicate is not None:
        return f"duplicate {' '.join(map(str, duplicate))}"
    states.update(header)
    return "ok"


def end_transaction(
    states: ProducerStates,
    producer_id: int,
    epoch: int,
    coordinator_epoch: int,
    offset: int,
    timestamp_ms: int,
    commit: int,
    version: int,
) -> str:
    marker = EndTransactionMarker(
        ControlType.COMMIT if commit else ControlType.ABORT, coordinator_epoch
    )
    batch = build_end_transaction_marker(
        marker,
        producer_id=producer_id,
        producer_epoch=epoch,
        timestamp_ms=timestamp_ms,
        base_offset=offset,
    )
    header: BatchHeader = check_batch(batch)
    states.check_marker(header, marker, transaction_version=version)
    completed = states.replay(header, batch)
    if completed is None:
        return "ok"
    _, first, last, stable, aborted = completed
    return f"completed {first} {last} {stable} {int(aborted)}"


def trace() -> Iterator[tuple[str, list[str], str, list[int]]]:
    for line in TRACE.read_text().splitlines():
        step, _, state = line.partition(" ; ")
        step, _, outcome = step.partition(" | ")
        name, *fields = step.split()
        yield name, fields, outcome, [int(number) for number in state.split()]


def test_every_step_ends_as_in_kafka() -> None:
    states = ProducerStates(expiration_ms=EXPIRATION_MS, verifies=False)
    seen: Counter[str] = Counter()
    for number, (name, fields, outcome, state) in enumerate(trace(), start=1):
        if name in ("data", "marker"):
            assert apply(states, name, [int(field) for field in fields]) == outcome, number
        elif name == "hw":
            states.high_watermark_moved(int(fields[0]))
        elif name == "expire":
            states.expire(int(fields[0]))
        else:
            expected = sorted(decode_snapshot(bytes.fromhex(fields[0])), key=by_id)
            assert sorted(decode_snapshot(states.snapshot()), key=by_id) == expected, number
        found = [states.first_unstable_offset(), states.first_undecided_offset(), len(states)]
        assert [-1 if value is None else value for value in found] == state, number
        seen[outcome.split()[0] if outcome else name] += 1
    wanted = {"ok", "duplicate", "completed", "hw", "expire", "snapshot", *EXCEPTIONS.values()}
    assert set(seen) == wanted
    assert min(seen.values()) >= 10


def test_kafkas_snapshots_are_written_again_byte_for_byte() -> None:
    snapshots = [bytes.fromhex(fields[0]) for name, fields, _, _ in trace() if name == "snapshot"]
    assert len(snapshots) >= 10
    for data in snapshots:
        assert encode_snapshot(decode_snapshot(data)) == data


def by_id(entry: object) -> int:
    return entry.producer_id  # type: ignore[attr-defined,no-any-return]
