"""Random messages of the protocol, made from our own schemas."""

from __future__ import annotations

import random
from typing import Any, TypeVar
from uuid import UUID

from kstore._native.codec import KINDS
from kstore.wire.schema import ZERO_UUID, Message, Struct, WireType, parse_versions

__all__ = ["random_message"]

_NAMES = {kind: name for name, kind in KINDS.items()}
_INTEGERS = {
    "int8": (8, True),
    "int16": (16, True),
    "uint16": (16, False),
    "int32": (32, True),
    "uint32": (32, False),
    "int64": (64, True),
}


AnyMessage = TypeVar("AnyMessage", bound=Message)


def random_message(
    message_type: type[AnyMessage], version: int, choices: random.Random
) -> AnyMessage:
    """A message with values in all fields that `version` has, edge values among them."""
    message: AnyMessage = _random_struct(message_type, version, choices)
    return message


def _random_struct(struct_type: Any, version: int, choices: random.Random) -> Any:
    values: dict[str, Any] = {}
    for name, field in struct_type.FIELDS.items():
        if version not in parse_versions(field.versions):
            continue
        if version in parse_versions(field.nullable) and choices.random() < 0.2:
            values[name] = None
        elif field.tag >= 0 and choices.random() < 0.3:
            continue
        elif _NAMES[field.kind] == "array":
            values[name] = [
                _random_value(field.element, version, choices)
                for _ in range(choices.choice((0, 1, 1, 2)))
            ]
        else:
            values[name] = _random_value(field.element or field.kind, version, choices)
    return struct_type(**values)


def _random_value(element: WireType | type[Struct] | int, version: int, choices: Any) -> Any:
    if isinstance(element, type):
        return _random_struct(element, version, choices)
    kind = _NAMES[element if isinstance(element, int) else element.kind]
    if kind in _INTEGERS:
        bits, signed = _INTEGERS[kind]
        high = (1 << (bits - signed)) - 1
        low = -high - 1 if signed else 0
        return choices.choice((0, 1, low, high, choices.randint(low, high)))
    if kind == "boolean":
        return choices.random() < 0.5
    if kind == "float64":
        return choices.uniform(-1e9, 1e9)
    if kind == "uuid":
        return choices.choice((ZERO_UUID, UUID(int=choices.getrandbits(128))))
    if kind == "string":
        return choices.choice(("", "t", "größe", "a.b-c_d", "x" * 130))
    return choices.choice((b"", b"\x00", choices.randbytes(20)))
