"""Stored transactions against bytes that Kafka 4.3.1's own classes wrote.

The hex strings are the output of `TransactionLog.keyToBytes` and `valueToBytes`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kstore.coordinator.fields import MalformedRecordError
from kstore.coordinator.records import UnknownRecord
from kstore.coordinator.transaction_records import (
    Transaction,
    TransactionRecord,
    TransactionState,
    decode_transaction_record,
)

KEY = "0000000474c3af78"
ONGOING = Transaction(
    producer_id=1_000_001,
    producer_epoch=32_000,
    timeout_ms=60_000,
    state=TransactionState.ONGOING,
    partitions=frozenset({("topic", 0), ("topic", 7)}),
    update_ms=1_700_000_000_123,
    start_ms=1_700_000_000_000,
    previous_producer_id=1_000_000,
    next_producer_id=1_000_002,
    client_version=2,
)
EMPTY = Transaction(
    producer_id=5,
    producer_epoch=0,
    timeout_ms=900_000,
    state=TransactionState.EMPTY,
    update_ms=1_700_000_000_123,
    previous_producer_id=5,
)
ENDED = replace(
    ONGOING,
    state=TransactionState.COMPLETE_ABORT,
    partitions=frozenset(),
    next_producer_id=-1,
    client_version=0,
)
ONGOING_VALUE = (
    "000100000000000f42417d000000ea60010206746f706963030000000000000007000000018bcfe5687b"
    "0000018bcfe5680003000800000000000f4240010800000000000f424202020002"
)
VALUES = {
    (1, "ongoing"): ONGOING_VALUE,
    (0, "empty"): "000000000000000000050000000dbba000ffffffff0000018bcfe5687bffffffffffffffff",
    (1, "empty"): "000100000000000000050000000dbba000000000018bcfe5687bffffffffffffffff"
    "0100080000000000000005",
    (0, "ended"): "000000000000000f42417d000000ea6005000000000000018bcfe5687b0000018bcfe56800",
    (1, "ended"): "000100000000000f42417d000000ea6005010000018bcfe5687b0000018bcfe56800"
    "01000800000000000f4240",
}
STATES = {"ongoing": ONGOING, "empty": EMPTY, "ended": ENDED}
CASES = [(version, name, value) for (version, name), value in VALUES.items()]


@pytest.mark.parametrize(("version", "name", "value"), CASES)
def test_bytes_are_kafkas(version: int, name: str, value: str) -> None:
    state = STATES[name]
    key, encoded = TransactionRecord("tïx", state, version).encode()
    assert (key.hex(), encoded and encoded.hex()) == (KEY, value)
    if version == 0:  # what version 0 does not say
        state = replace(state, previous_producer_id=-1, next_producer_id=-1, client_version=0)
    decoded = decode_transaction_record(key, encoded)
    assert decoded == TransactionRecord("tïx", state, version)


def test_no_value_is_a_tombstone() -> None:
    record = TransactionRecord("tïx", None)
    key, value = record.encode()
    assert (key.hex(), value) == (KEY, None)
    assert decode_transaction_record(key, value) == record


def test_what_kafka_may_add_is_passed_over() -> None:
    """Tag 3, NextProducerEpoch, which the schema knows and no Kafka has written yet."""
    key, value = TransactionRecord("tïx", EMPTY).encode()
    assert value is not None
    assert value[-11:-9] == b"\x01\x00"  # one tag, of 8 bytes: the previous producer id
    more = value[:-11] + b"\x02" + value[-10:] + b"\x03\x02\x00\x07"
    assert decode_transaction_record(key, more) == TransactionRecord("tïx", EMPTY)


def test_a_record_of_another_kind() -> None:
    assert decode_transaction_record(b"\0\x05rest", b"whatever") == UnknownRecord(5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (b"\0", b""),
        (bytes.fromhex(KEY), b"\0\2"),
        (bytes.fromhex(KEY), b"\xff\xff"),
        (bytes.fromhex(KEY), bytes(2 + 8 + 2 + 4) + b"\x09" + bytes(20)),
    ],
)
def test_what_can_not_be_read(key: bytes | None, value: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        decode_transaction_record(key, value)


def test_names_of_states_are_kafkas() -> None:
    assert [state.label for state in TransactionState] == [
        *("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"),
        *("Dead", "PrepareEpochFence"),
    ]
