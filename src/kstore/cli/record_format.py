"""Records as text: Kafka's `DefaultMessageFormatter`, for `kstore console-consumer`.

A line is `timestamp, partition, offset, delivery, epoch, headers, key, value`, each only if asked
for, joined by the key separator and ended by the line separator. Keys and values are written as the
bytes they are, unless a deserializer is named.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kstore.cli.errors import CallError
from kstore.cli.output import json_bytes

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["DESERIALIZERS", "RecordFormat", "as_json"]

# confluent-kafka's timestamp types, by number, as Kafka names them.
_TIMESTAMP_TYPES = {1: "CreateTime", 2: "LogAppendTime"}

# Fields in the order in which Kafka prints them, with whether they are printed by default.
_FIELDS = {
    "timestamp": False,
    "partition": False,
    "offset": False,
    "delivery": False,
    "epoch": False,
    "headers": False,
    "key": False,
    "value": True,
}


def _number(layout: str) -> Callable[[bytes], str]:
    return lambda data: str(struct.unpack(layout, data)[0])


# What Kafka's deserializers of these names make of bytes.
DESERIALIZERS: Mapping[str, Callable[[bytes], str]] = {
    "StringDeserializer": lambda data: data.decode("utf-8", "replace"),
    "ByteArrayDeserializer": lambda data: data.decode("utf-8", "replace"),
    "ShortDeserializer": _number(">h"),
    "IntegerDeserializer": _number(">i"),
    "LongDeserializer": _number(">q"),
    "FloatDeserializer": _number(">f"),
    "DoubleDeserializer": _number(">d"),
    "UUIDDeserializer": lambda data: str(UUID(data.decode("ascii"))),
}


class RecordFormat:
    """Formats records by the properties of Kafka's formatter: `print.key`, `key.separator`, ..."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        """Raises `CallError` for a deserializer that is not known."""
        self._fields = [
            name
            for name, default in _FIELDS.items()
            if properties.get(f"print.{name}", str(default)).strip().lower() == "true"
        ]
        self._separator = properties.get("key.separator", "\t").encode()
        self._line_end = properties.get("line.separator", "\n").encode()
        self._headers_separator = properties.get("headers.separator", ",").encode()
        self._null = properties.get("null.literal", "null").encode()
        self._key_text = _deserializer(properties, "key.deserializer")
        self._value_text = _deserializer(properties, "value.deserializer")
        self._header_text = _deserializer(properties, "headers.deserializer")
        self._writers: dict[str, Callable[[Message], bytes]] = {
            "timestamp": _timestamp,
            "partition": lambda message: f"Partition:{message.partition()}".encode(),
            "offset": lambda message: f"Offset:{message.offset()}".encode(),
            "delivery": lambda message: b"Delivery:NOT_PRESENT",
            "epoch": _epoch,
            "headers": self._headers,
            "key": lambda message: self._text(message.key(), self._key_text),
            "value": lambda message: self._text(message.value(), self._value_text),
        }

    def line(self, message: Message) -> bytes:
        """One record with its line end. Raises `ValueError` if it can't be deserialized."""
        if not self._fields:
            return b""
        fields = (self._writers[name](message) for name in self._fields)
        return self._separator.join(fields) + self._line_end

    def _text(self, data: bytes | None, deserializer: Callable[[bytes], str] | None) -> bytes:
        if data is None:
            return self._null
        if deserializer is None:
            return data
        try:
            return deserializer(data).encode()
        except struct.error as error:
            raise ValueError(f"{len(data)} bytes can't be deserialized: {error}") from None

    def _headers(self, message: Message) -> bytes:
        pairs = [
            name.encode() + b":" + self._text(_bytes(value), self._header_text)
            for name, value in _header_pairs(message)
        ]
        return self._headers_separator.join(pairs) if pairs else b"NO_HEADERS"


def _deserializer(properties: Mapping[str, str], name: str) -> Callable[[bytes], str] | None:
    wanted = properties.get(name)
    if not wanted:
        return None
    found = DESERIALIZERS.get(wanted.rpartition(".")[2])
    if found is None:
        raise CallError(f"{name}={wanted}: want one of {', '.join(DESERIALIZERS)}")
    return found


def _timestamp(message: Message) -> bytes:
    kind, timestamp_ms = message.timestamp()
    name = _TIMESTAMP_TYPES.get(kind)
    return f"{name}:{timestamp_ms}".encode() if name else b"NO_TIMESTAMP"


def _epoch(message: Message) -> bytes:
    epoch = message.leader_epoch()
    return b"Epoch:NOT_PRESENT" if epoch is None else b"Epoch:%d" % epoch


def _header_pairs(message: Message) -> list[tuple[str, Any]]:
    headers = message.headers()
    return list(headers.items() if isinstance(headers, dict) else headers or ())


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def as_json(message: Message) -> bytes:
    """One record as a line of JSON.

    Bytes that are not UTF-8 are in base64, under a key that ends in `_base64`.
    """
    kind, timestamp_ms = message.timestamp()
    row: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": timestamp_ms if kind in _TIMESTAMP_TYPES else None,
        "timestamp_type": _TIMESTAMP_TYPES.get(kind),
        "headers": [
            {"key": name, **json_bytes("value", _bytes(value))}
            for name, value in _header_pairs(message)
        ],
        **json_bytes("key", message.key()),
        **json_bytes("value", message.value()),
    }
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
