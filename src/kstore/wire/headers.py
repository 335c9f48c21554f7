"""What stands before every request and response: who asks for what, and which answer this is.

A request header has version 1, or 2 (with tagged fields) where the request is flexible; a response
header has version 0, or 1 (with tagged fields) where the response is flexible, except for
ApiVersions, which a client must understand before it knows any version (KIP-511). No known version
of a header has a tagged field of its own. Pure functions; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from kstore._native import decoder
from kstore._native.frames import parse_client_id, parse_prefix
from kstore.wire.versions import FLEXIBLE_FROM, ApiKey

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "RequestHeader",
    "decode_request_header",
    "decode_response_header",
    "encode_request_header",
    "response_frame",
    "response_header",
]

_REQUEST = Struct(">hhih")
_CORRELATION_ID = Struct(">i")
_NO_TAGGED_FIELDS = b"\x00"
_NEVER = 1 << 15  # above every version


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """The header of a request. `client_id` is None if the client gave none."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def decode_request_header(data: Buffer, position: int = 0) -> tuple[RequestHeader, int]:
    """The header at `position` and the position behind it, where the request's body starts.

    The API and version may be unknown; of an unknown API only the header is to be trusted.
    Raises `kstore.wire.codec.DecodeError`.
    """
    frame = memoryview(data)[position:]
    api_key, version, correlation_id = parse_prefix(frame)
    client_id, size = parse_client_id(frame, version >= FLEXIBLE_FROM.get(api_key, _NEVER))
    return RequestHeader(api_key, version, correlation_id, client_id), position + size


def encode_request_header(header: RequestHeader) -> bytes:
    """The header of a request of a known API."""
    client_id = b"" if header.client_id is None else header.client_id.encode()
    size = -1 if header.client_id is None else len(client_id)
    fixed = _REQUEST.pack(header.api_key, header.api_version, header.correlation_id, size)
    flexible = header.api_version >= FLEXIBLE_FROM[header.api_key]
    return fixed + client_id + (_NO_TAGGED_FIELDS if flexible else b"")


def _is_flexible_response(api_key: int, version: int) -> bool:
    return api_key != ApiKey.API_VERSIONS and version >= FLEXIBLE_FROM[api_key]


def response_header(api_key: int, version: int, correlation_id: int) -> bytes:
    """The header of the response to a request of a known API."""
    header = _CORRELATION_ID.pack(correlation_id)
    return header + _NO_TAGGED_FIELDS if _is_flexible_response(api_key, version) else header


def decode_response_header(
    api_key: int, version: int, data: Buffer, position: int = 0
) -> tuple[int, int]:
    """The correlation id, and the position where the response's body starts; DecodeError."""
    return decoder.decode_response_header(data, position, _is_flexible_response(api_key, version))


def response_frame(api_key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    """A whole response as it travels: its size, its header and its body."""
    header = response_header(api_key, version, correlation_id)
    return _CORRELATION_ID.pack(len(header) + len(body)) + header + body
