"""Messages to bytes and back.

Each (struct type, version) is walked by one native plan, made here from the schema when it is first
asked for and kept for good. Plans are immutable and making one twice does no harm, so any thread
may call these functions.

All that a client can send ends in a message or in DecodeError. Encoding raises EncodeError, a
ValueError that names the field, for a message that the version cannot carry: a value out of range,
None where it is not allowed, or a value other than the default in a field that the version does not
have and that may not be dropped (what Kafka calls an UnsupportedVersionException).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from kstore._native import decoder, encoder
from kstore._native.codec import KINDS, CodecError, DecodeError, EncodeError, Plan
from kstore.wire.messages import MODULES
from kstore.wire.schema import Message, Request, Response, Struct, parse_versions

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "CodecError",
    "DecodeError",
    "EncodeError",
    "decode",
    "decode_prefix",
    "decode_request",
    "decode_response",
    "encode",
    "encode_request",
    "encode_response",
    "request_type",
    "response_type",
]

AnyMessage = TypeVar("AnyMessage", bound=Message)

# What the native plan is told of a field:
# (field name, kind, element kind, nullable, ignorable, tag, child plan)
_Step: TypeAlias = tuple[str, int, int, bool, bool, int, Plan | None]

_request_types: dict[int, type[Request]] = {}
_response_types: dict[int, type[Response]] = {}


def _load(api_key: int) -> None:
    index = MODULES[api_key]
    module = importlib.import_module(f"kstore.wire.messages.{index.module}")
    _request_types[api_key] = getattr(module, f"{index.name}Request")
    _response_types[api_key] = getattr(module, f"{index.name}Response")


def request_type(api_key: int) -> type[Request]:
    """The class of an API's requests; KeyError for an API that has no schema here."""
    if api_key not in _request_types:
        _load(api_key)
    return _request_types[api_key]


def response_type(api_key: int) -> type[Response]:
    """The class of an API's responses; KeyError for an API that has no schema here."""
    if api_key not in _response_types:
        _load(api_key)
    return _response_types[api_key]


def _plan(message_type: type[Message], version: int) -> Plan:
    """The plan of a message; KeyError for a version that the schema does not know."""
    plan = message_type.PLANS.get(version)
    if plan is None:
        if version not in message_type.VERSIONS:
            raise KeyError(version)
        plan = _struct_plan(message_type, version, version in message_type.FLEXIBLE)
    return plan


def _struct_plan(struct_type: type[Struct], version: int, flexible: bool) -> Plan:
    plan = struct_type.PLANS.get(version)
    if plan is not None:
        return plan
    plain: list[_Step] = []
    tagged: list[_Step] = []
    absent: list[_Step] = []
    for name, field in struct_type.FIELDS.items():
        present = version in parse_versions(field.versions)
        child = None
        element_kind = 0
        if isinstance(field.element, type):
            element_kind = KINDS["struct"]
            child = _struct_plan(field.element, version, flexible) if present else None
        elif field.element is not None:
            element_kind = field.element.kind
        nullable = version in parse_versions(field.nullable)
        step = (name, field.kind, element_kind, nullable, field.ignorable, max(field.tag, 0), child)
        (absent if not present else plain if field.tag < 0 else tagged).append(step)
    tagged.sort(key=lambda step: step[5])
    plan = Plan(struct_type.LAYOUT, flexible, plain, tagged, absent)
    struct_type.PLANS[version] = plan
    return plan


def decode(
    message_type: type[AnyMessage], version: int, data: Buffer, position: int = 0
) -> AnyMessage:
    """The message that fills `data` from `position` to its end.

    Raises DecodeError, also for a version that the schema does not know and for bytes left over.
    """
    try:
        plan = _plan(message_type, version)
    except KeyError:
        raise DecodeError(f"{message_type.__name__} has no version {version}", position) from None
    message: AnyMessage = decoder.decode(plan, data, position)
    return message


def decode_prefix(
    message_type: type[AnyMessage], version: int, data: Buffer, position: int = 0
) -> tuple[AnyMessage, int]:
    """The message that starts at `position`, and the position behind it; DecodeError."""
    try:
        plan = _plan(message_type, version)
    except KeyError:
        raise DecodeError(f"{message_type.__name__} has no version {version}", position) from None
    return decoder.decode_prefix(plan, data, position)


def encode(message: Message, version: int) -> bytes:
    """The bytes of a message; EncodeError."""
    try:
        plan = _plan(type(message), version)
    except KeyError:
        raise EncodeError(f"{type(message).__name__} has no version {version}") from None
    return encoder.encode(plan, message)


def decode_request(api_key: int, version: int, data: Buffer, position: int = 0) -> Request:
    """The request whose body fills `data` from `position` to its end; DecodeError."""
    try:
        message_type = request_type(api_key)
    except KeyError:
        raise DecodeError(f"no API has the key {api_key}", position) from None
    return decode(message_type, version, data, position)


def decode_response(api_key: int, version: int, data: Buffer, position: int = 0) -> Response:
    """The response whose body fills `data` from `position` to its end; DecodeError."""
    try:
        message_type = response_type(api_key)
    except KeyError:
        raise DecodeError(f"no API has the key {api_key}", position) from None
    return decode(message_type, version, data, position)


def encode_request(message: Request, version: int) -> bytes:
    """The body of a request; EncodeError."""
    return encode(message, version)


def encode_response(message: Response, version: int) -> bytes:
    """The body of a response; EncodeError."""
    return encode(message, version)
