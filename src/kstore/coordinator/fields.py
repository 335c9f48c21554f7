"""The primitive fields of stored coordinator records, in Kafka's plain and compact forms.

Lengths are checked against the bytes left, and strings against Kafka's limit of 32,767 bytes,
before anything is made of them. Not thread-safe; a reader or writer lives for one record.
"""

from __future__ import annotations

import struct
import uuid

__all__ = ["NO_UUID", "MalformedRecordError", "Reader", "Writer"]

NO_UUID = uuid.UUID(int=0)

_MAX_STRING_SIZE = 0x7FFF
_INT8 = struct.Struct(">b")
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


class MalformedRecordError(ValueError):
    """Bytes that are not the record they should be."""


class Reader:
    """Reads fields one after the other; raises `MalformedRecordError` only."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if size < 0 or end > len(self._data):
            raise MalformedRecordError(
                f"{size} bytes wanted at {self._position}, the record has {len(self._data)}"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def int8(self) -> int:
        value: int = _INT8.unpack(self._take(1))[0]
        return value

    def int16(self) -> int:
        value: int = _INT16.unpack(self._take(2))[0]
        return value

    def int32(self) -> int:
        value: int = _INT32.unpack(self._take(4))[0]
        return value

    def int64(self) -> int:
        value: int = _INT64.unpack(self._take(8))[0]
        return value

    def unique_id(self) -> uuid.UUID:
        return uuid.UUID(bytes=self._take(16))

    def varint(self) -> int:
        """An unsigned variable-length number of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if value > 0xFFFFFFFF:
                    break
                return value
        raise MalformedRecordError(f"a number before {self._position} is too long")

    def _text(self, size: int) -> str:
        if size > _MAX_STRING_SIZE:
            raise MalformedRecordError(f"a string of {size} bytes is too long")
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise MalformedRecordError(f"a string before {self._position}: {error}") from None

    def string(self) -> str:
        return self._text(self.int16())

    def nullable_string(self) -> str | None:
        size = self.int16()
        return None if size == -1 else self._text(size)

    def compact_string(self) -> str:
        return self._text(self.varint() - 1)

    def compact_nullable_string(self) -> str | None:
        size = self.varint() - 1
        return None if size == -1 else self._text(size)

    def data(self) -> bytes:
        return self._take(self.int32())

    def compact_data(self) -> bytes:
        return self._take(self.varint() - 1)

    def count(self, item_size: int) -> int:
        """The length of an array whose items have at least `item_size` bytes."""
        return self._checked_count(self.int32(), item_size)

    def compact_count(self, item_size: int) -> int:
        """As `count`, in compact form."""
        return self._checked_count(self.varint() - 1, item_size)

    def nullable_count(self, item_size: int) -> int:
        """As `count`, of an array that may be absent: 0 then."""
        count = self.int32()
        return 0 if count == -1 else self._checked_count(count, item_size)

    def compact_nullable_count(self, item_size: int) -> int:
        """As `nullable_count`, in compact form."""
        count = self.varint()
        return self._checked_count(count - 1, item_size) if count else 0

    def _checked_count(self, count: int, item_size: int) -> int:
        left = len(self._data) - self._position
        if not 0 <= count <= left // item_size:
            raise MalformedRecordError(f"{count} items can't be in the {left} bytes left")
        return count

    def tags(self) -> dict[int, bytes]:
        """Tagged fields (KIP-482) by their tags; unknown ones are the caller's to ignore."""
        fields: dict[int, bytes] = {}
        for _ in range(self._checked_count(self.varint(), 2)):
            tag = self.varint()
            fields[tag] = self._take(self.varint())
        return fields


class Writer:
    """Writes fields one after the other; `done` gives the bytes.

    A string that Kafka could not read again raises `ValueError`.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def int8(self, value: int) -> None:
        self._parts.append(_INT8.pack(value))

    def int16(self, value: int) -> None:
        self._parts.append(_INT16.pack(value))

    def int32(self, value: int) -> None:
        self._parts.append(_INT32.pack(value))

    def int64(self, value: int) -> None:
        self._parts.append(_INT64.pack(value))

    def varint(self, value: int) -> None:
        encoded = bytearray()
        while value > 0x7F:
            encoded.append(value & 0x7F | 0x80)
            value >>= 7
        encoded.append(value)
        self._parts.append(bytes(encoded))

    def string(self, value: str) -> None:
        encoded = _encoded(value)
        self._parts.append(_INT16.pack(len(encoded)))
        self._parts.append(encoded)

    def nullable_string(self, value: str | None) -> None:
        if value is None:
            self.int16(-1)
        else:
            self.string(value)

    def compact_string(self, value: str) -> None:
        encoded = _encoded(value)
        self.varint(len(encoded) + 1)
        self._parts.append(encoded)

    def data(self, value: bytes) -> None:
        self._parts.append(_INT32.pack(len(value)))
        self._parts.append(value)

    def tags(self, fields: dict[int, bytes]) -> None:
        """Tagged fields, lowest tag first."""
        self.varint(len(fields))
        for tag in sorted(fields):
            self.varint(tag)
            self.varint(len(fields[tag]))
            self._parts.append(fields[tag])

    def done(self) -> bytes:
        return b"".join(self._parts)


def _encoded(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > _MAX_STRING_SIZE:
        raise ValueError(f"a string of {len(encoded)} bytes is too long to be stored")
    return encoded
