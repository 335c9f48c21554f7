"""kio as the judge of our messages: values of its dataclasses, and the same as ours.

kio is written from Kafka's definitions by other people. It has one
class per struct and version, and turns some values into Python's types, which is undone here: times
into milliseconds, its error codes into numbers, None as an id into the zero UUID.
"""

from __future__ import annotations

import dataclasses
import io
import random
import types
import typing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import TZAware, i8, i16, i32, i32Timedelta, i64, i64Timedelta, u16

from kstore.wire.schema import ZERO_UUID, Struct

__all__ = [
    "kio_decode",
    "kio_encode",
    "kio_fields",
    "kio_type",
    "our_field_name",
    "random_entity",
    "to_ours",
]

MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kio_type(api_key: int, version: int, direction: str) -> Any:
    """kio's class of an API's "request" or "response"."""
    load: Any = {"request": load_request_schema, "response": load_response_schema}[direction]
    return load(api_key, version)


def kio_encode(entity: Any) -> bytes:
    buffer = io.BytesIO()
    entity_writer(type(entity))(buffer, entity)
    return buffer.getvalue()


def kio_decode(entity_type: Any, data: bytes) -> Any:
    entity, size = entity_reader(entity_type)(data, 0)
    assert size == len(data)
    return entity


def kio_fields(entity_type: Any) -> dict[str, Any]:
    """The fields by kio's names, with their annotations."""
    return {field.name: field.type for field in dataclasses.fields(entity_type)}


def our_field_name(struct_type: type[Struct], name: str) -> str:
    """kio drops the unit from the names of its timedeltas."""
    return name if name in struct_type.FIELDS else f"{name}_ms"


def random_entity(entity_type: Any, choices: random.Random) -> Any:
    """An instance with random values; tagged fields are left at their default now and then."""
    values = {}
    for field in dataclasses.fields(entity_type):
        if "tag" in field.metadata and choices.random() < 0.3:
            continue
        values[field.name] = _random_value(field.type, choices)
    return entity_type(**values)


def _random_value(annotation: Any, choices: random.Random) -> Any:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return tuple(
            _random_value(arguments[0], choices) for _ in range(choices.choice((0, 1, 2, 3)))
        )
    if isinstance(annotation, types.UnionType):
        if choices.random() < 0.25:
            return None
        return _random_value(next(one for one in arguments if one is not type(None)), choices)
    if dataclasses.is_dataclass(annotation):
        return random_entity(annotation, choices)
    return _random_scalar(annotation, choices)


def _random_scalar(kind: type, choices: random.Random) -> Any:
    if kind is bool:
        return choices.random() < 0.5
    if kind is ErrorCode:
        return choices.choice(list(ErrorCode))
    if kind is UUID:
        return UUID(int=choices.getrandbits(128) | 1)
    if issubclass(kind, TZAware):
        return datetime.fromtimestamp(choices.randrange(1, 1 << 32), tz=UTC)
    if issubclass(kind, timedelta):
        bits = 31 if issubclass(kind, i32Timedelta) else 40
        assert issubclass(kind, i32Timedelta | i64Timedelta)
        return timedelta(milliseconds=choices.randrange(-(1 << bits), 1 << bits))
    if issubclass(kind, int):
        low, high = next(limits for one, limits in LIMITS.items() if issubclass(kind, one))
        edges = (low, max(low, -1), 0, 1, high)
        return choices.choice((*edges, choices.randint(low, high)))
    if issubclass(kind, bytes):
        return choices.choice((b"", choices.randbytes(9), choices.randbytes(200)))
    assert issubclass(kind, str)
    return choices.choice(("", "topic", "größe-日本", "x" * 127, "y" * 300))


# Narrowest first: kio's int8 is a subclass of its int16, and so on.
LIMITS: dict[type, tuple[int, int]] = {
    i8: (-(1 << 7), (1 << 7) - 1),
    i16: (-(1 << 15), (1 << 15) - 1),
    i32: (-(1 << 31), (1 << 31) - 1),
    i64: (-(1 << 63), (1 << 63) - 1),
    u16: (0, (1 << 16) - 1),
}


def to_ours(struct_type: type[Struct], entity: Any) -> Any:
    """The struct with the values of a kio entity, and defaults where its version has no field."""
    values = {}
    for name, annotation in kio_fields(type(entity)).items():
        our_name = our_field_name(struct_type, name)
        element = struct_type.FIELDS[our_name].element
        values[our_name] = _ours(getattr(entity, name), annotation, element)
    return struct_type(**values)


def _ours(value: Any, annotation: Any, element: Any) -> Any:
    if value is None:
        kinds = typing.get_args(annotation)
        return ZERO_UUID if UUID in kinds else -1 if TZAware in kinds else None
    if isinstance(value, tuple):
        annotation = next(
            one for one in (annotation, *typing.get_args(annotation)) if typing.get_origin(one)
        )
        inner = typing.get_args(annotation)[0]
        return [_ours(one, inner, element) for one in value]
    if dataclasses.is_dataclass(value):
        return to_ours(element, value)
    if isinstance(value, ErrorCode):
        return value.value
    if isinstance(value, timedelta):
        return value // MILLISECOND
    if isinstance(value, datetime):
        return (value - EPOCH) // MILLISECOND
    return value
