"""One connection to a broker, on which kio instead of kstore's own codec writes and reads.

kio has one dataclass per message and version. Here a request is a mapping of kio's field names that
serves all versions: fields that a version lacks are left out, fields without a default are zero.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import socket
import struct
import typing
import uuid
from collections.abc import Mapping
from typing import Any, Self

from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer

API_VERSIONS = 18
CLIENT_ID = b"judge"
TIMEOUT_S = 30
# No release of Kafka gives a meaning to this tag: 1 field, tag 9999, 3 bytes.
UNKNOWN_TAG = b"\x01" + b"\x8f\x4e" + b"\x03" + b"new"
NO_TAGS = b"\x00"


class RawClient:
    """Asks one question at a time. Not for use by two threads."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, _, port = bootstrap_servers.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._correlation_id = 0

    def ask(
        self, api_key: int, version: int, values: Mapping[str, Any], *, unknown_tag: bool = False
    ) -> Any:
        """The reply to a request, as kio's dataclass; every byte of it must have been understood.

        With `unknown_tag` the header and the body of the request carry a tagged field from the
        future, which the broker must skip (KIP-482).
        """
        request_class = load_request_schema(api_key, version)
        body = encode(build(request_class, values), request_class)
        tags = NO_TAGS if request_class.__flexible__ else b""
        if unknown_tag:
            assert body.endswith(NO_TAGS), "the request has tagged fields of its own"
            body, tags = body[:-1] + UNKNOWN_TAG, UNKNOWN_TAG
        self._send(api_key, version, tags + body)
        return self._decode(api_key, version, self._receive())

    def is_refused(self, api_key: int, version: int) -> bool:
        """Whether the broker closes the connection on an empty request of this version."""
        self._send(api_key, version, b"")
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, api_key: int, version: int, rest: bytes) -> None:
        self._correlation_id += 1
        header = struct.pack(">hhih", api_key, version, self._correlation_id, len(CLIENT_ID))
        frame = header + CLIENT_ID + rest
        self._socket.sendall(struct.pack(">i", len(frame)) + frame)

    def _receive(self) -> bytes:
        (size,) = struct.unpack(">i", self._receive_exactly(4))
        return self._receive_exactly(size)

    def _receive_exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        filled = 0
        while filled < size:
            count = self._socket.recv_into(view[filled:])
            assert count, f"the broker closed the connection after {filled} of {size} bytes"
            filled += count
        return bytes(data)

    def _decode(self, api_key: int, version: int, frame: bytes) -> Any:
        response_class = load_response_schema(api_key, version)
        header, position = entity_reader(response_class.__header_schema__)(frame, 0)
        assert header.correlation_id == self._correlation_id
        response, size = entity_reader(response_class)(frame, position)
        assert position + size == len(frame), f"{len(frame) - position - size} bytes left over"
        return response


def encode(entity: Any, entity_class: type) -> bytes:
    buffer = io.BytesIO()
    entity_writer(entity_class)(buffer, entity)
    return buffer.getvalue()


def build(entity_class: type, values: Mapping[str, Any]) -> Any:
    """A kio dataclass from those of `values` that its version knows."""
    hints = typing.get_type_hints(entity_class)
    arguments = {}
    for field in dataclasses.fields(entity_class):
        if field.name in values:
            arguments[field.name] = _convert(hints[field.name], values[field.name])
        elif field.default is dataclasses.MISSING:
            arguments[field.name] = _zero(hints[field.name])
    return entity_class(**arguments)


def _convert(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        nested = _element_class(hint)
        return tuple(build(nested, one) if nested else one for one in value)
    if isinstance(value, int) and _is(hint, datetime.timedelta):
        return datetime.timedelta(milliseconds=value)
    return value


def _element_class(hint: Any) -> type | None:
    """The dataclass X in `tuple[X, ...]`, also if that may be None; None if X is plain."""
    if dataclasses.is_dataclass(hint):
        return typing.cast(type, hint)
    found = (_element_class(inner) for inner in typing.get_args(hint))
    return next((one for one in found if one is not None), None)


def _zero(hint: Any) -> Any:
    if type(None) in typing.get_args(hint):
        return None
    if typing.get_origin(hint) is tuple:
        return ()
    for plain in (bool, int, str, bytes):
        if _is(hint, plain):
            return plain()
    if _is(hint, datetime.timedelta):
        return datetime.timedelta()
    assert _is(hint, uuid.UUID), f"no zero for {hint}"
    return uuid.UUID(int=0)


def _is(hint: Any, plain: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, plain)
