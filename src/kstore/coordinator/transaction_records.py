"""Codec of the records that the transaction coordinator stores in `__transaction_state`.

The bytes are Kafka's (its `TransactionLogKey.json` and `TransactionLogValue.json`, 4.3): one record
holds all of a transactional id, so its newest one says everything; no value is a tombstone. Values
are written in version 1, which is flexible, or in version 0 while the cluster is at
`transaction.version` 0; both can be read.

Every length is checked against the bytes that are left. Bytes that are not such a record raise
`MalformedRecordError`. Pure functions; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from kstore.coordinator.fields import MalformedRecordError, Reader, Writer
from kstore.coordinator.records import UnknownRecord

__all__ = [
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "TopicPartition",
    "Transaction",
    "TransactionRecord",
    "TransactionState",
    "decode_transaction_record",
]

TopicPartition = tuple[str, int]

NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1

TRANSACTION_LOG = 0
"""The type in the key of the only kind of record."""

_PREVIOUS_PRODUCER_ID_TAG = 0
_NEXT_PRODUCER_ID_TAG = 1
_CLIENT_VERSION_TAG = 2
_NEWEST_VALUE_VERSION = 1
_MIN_TOPIC_SIZE = 3  # of any version: fewer bytes can't hold even an empty topic


class TransactionState(IntEnum):
    """Where a transaction is; the numbers are the stored ones. The last two are never stored."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7

    @property
    def label(self) -> str:
        """Kafka's name for people."""
        return self.name.title().replace("_", "")


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is known of a transactional id (Kafka's `TransactionMetadata`).

    `previous_producer_id` is the producer id before this state was reached, mostly the same;
    `next_producer_id` the one that follows once the transaction is complete, as the epochs of this
    one are used up; `client_version` the transaction version of the client whose request led here.
    `last_producer_epoch`, before the last bump, is not stored: it is -1 after a load. Times are
    wall-clock milliseconds; `start_ms` is -1 before the first transaction.
    """

    producer_id: int
    producer_epoch: int
    timeout_ms: int
    state: TransactionState
    partitions: frozenset[TopicPartition] = frozenset()
    update_ms: int = -1
    start_ms: int = -1
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    client_version: int = 0
    last_producer_epoch: int = NO_PRODUCER_EPOCH


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """The newest state of a transactional id; without a value, its removal."""

    transactional_id: str
    value: Transaction | None
    value_version: int = _NEWEST_VALUE_VERSION

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value for the log."""
        key = Writer()
        key.int16(TRANSACTION_LOG)
        key.string(self.transactional_id)
        if self.value is None:
            return key.done(), None
        return key.done(), _encode(self.value, self.value_version)


def decode_transaction_record(
    key: bytes | None, value: bytes | None
) -> TransactionRecord | UnknownRecord:
    """The record behind `key` and `value`; raises `MalformedRecordError`."""
    if key is None:
        raise MalformedRecordError("a coordinator's record needs a key")
    reader = Reader(key)
    record_type = reader.int16()
    if record_type != TRANSACTION_LOG:
        return UnknownRecord(record_type)
    transactional_id = reader.string()
    if value is None:
        return TransactionRecord(transactional_id, None)
    body = Reader(value)
    version = body.int16()
    if not 0 <= version <= _NEWEST_VALUE_VERSION:
        raise MalformedRecordError(f"version {version} of a stored transaction is not known")
    return TransactionRecord(transactional_id, _decode(body, version), version)


def _encode(value: Transaction, version: int) -> bytes:
    writer = Writer()
    writer.int16(version)
    writer.int64(value.producer_id)
    writer.int16(value.producer_epoch)
    writer.int32(value.timeout_ms)
    writer.int8(value.state)
    # Kafka's: an empty transaction has no list, any other one that may be empty.
    topics = None if value.state is TransactionState.EMPTY else _by_topic(value.partitions)
    if version == 0:
        _write_topics(writer, topics)
    else:
        _write_compact_topics(writer, topics)
    writer.int64(value.update_ms)
    writer.int64(value.start_ms)
    if version >= 1:
        writer.tags(_tags(value))
    return writer.done()


def _by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        topics.setdefault(topic, []).append(index)
    return topics


def _write_topics(writer: Writer, topics: dict[str, list[int]] | None) -> None:
    writer.int32(-1 if topics is None else len(topics))
    for topic, indexes in (topics or {}).items():
        writer.string(topic)
        writer.int32(len(indexes))
        for index in indexes:
            writer.int32(index)


def _write_compact_topics(writer: Writer, topics: dict[str, list[int]] | None) -> None:
    writer.varint(0 if topics is None else len(topics) + 1)
    for topic, indexes in (topics or {}).items():
        writer.compact_string(topic)
        writer.varint(len(indexes) + 1)
        for index in indexes:
            writer.int32(index)
        writer.tags({})


def _tags(value: Transaction) -> dict[int, bytes]:
    """The tagged fields, without those that have their default."""
    tags = {}
    if value.previous_producer_id != NO_PRODUCER_ID:
        tags[_PREVIOUS_PRODUCER_ID_TAG] = value.previous_producer_id.to_bytes(8, "big", signed=True)
    if value.next_producer_id != NO_PRODUCER_ID:
        tags[_NEXT_PRODUCER_ID_TAG] = value.next_producer_id.to_bytes(8, "big", signed=True)
    if value.client_version:
        tags[_CLIENT_VERSION_TAG] = value.client_version.to_bytes(2, "big", signed=True)
    return tags


def _decode(reader: Reader, version: int) -> Transaction:
    flexible = version >= 1
    producer_id = reader.int64()
    producer_epoch = reader.int16()
    timeout_ms = reader.int32()
    number = reader.int8()
    try:
        state = TransactionState(number)
    except ValueError:
        raise MalformedRecordError(f"{number} is no state of a transaction") from None
    partitions = frozenset(_read_topics(reader, flexible))
    update_ms = reader.int64()
    start_ms = reader.int64()
    tags = reader.tags() if flexible else {}
    return Transaction(
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        timeout_ms=timeout_ms,
        state=state,
        partitions=partitions,
        update_ms=update_ms,
        start_ms=start_ms,
        previous_producer_id=_tagged_int64(tags, _PREVIOUS_PRODUCER_ID_TAG),
        next_producer_id=_tagged_int64(tags, _NEXT_PRODUCER_ID_TAG),
        client_version=_client_version(tags),
    )


def _read_topics(reader: Reader, flexible: bool) -> Iterable[TopicPartition]:
    count_topics = reader.compact_nullable_count if flexible else reader.nullable_count
    count_indexes = reader.compact_count if flexible else reader.count
    for _ in range(count_topics(_MIN_TOPIC_SIZE)):
        topic = reader.compact_string() if flexible else reader.string()
        for _ in range(count_indexes(4)):
            yield topic, reader.int32()
        if flexible:
            reader.tags()


def _tagged_int64(tags: dict[int, bytes], tag: int) -> int:
    return Reader(tags[tag]).int64() if tag in tags else NO_PRODUCER_ID


def _client_version(tags: dict[int, bytes]) -> int:
    return Reader(tags[_CLIENT_VERSION_TAG]).int16() if _CLIENT_VERSION_TAG in tags else 0
