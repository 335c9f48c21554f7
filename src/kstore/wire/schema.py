"""The language in which the generated messages under `wire/messages/` are written.

A struct of the protocol is a class; each of its fields is one call that names the wire type and
the versions that carry it:

    class TopicPartitions(Struct):
        topic: str = string("0-12", ignorable=True)
        topic_id: UUID = uuid("13+", ignorable=True)
        partitions: list[int] = array(int32, "0+")

One class serves every version. A field that a version does not carry reads as its default when
that version is decoded, and must be ignorable or at its default when that version is encoded, as
in Kafka's generated messages. Constructors take keywords only and every field has a default, so
type checkers know them (PEP 681). Instances have slots, compare and print by value and are not
hashable, since they can change.

Version ranges are Kafka's text ("3+", "0-9", "4", "none") and are read on first use, so that
importing a message costs next to nothing. Everything here is immutable once imported and may be
used from any thread.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

from kstore._native import codec

__all__ = [
    "ZERO_UUID",
    "Field",
    "Message",
    "Request",
    "Response",
    "Struct",
    "VersionRange",
    "WireType",
    "array",
    "binary",
    "boolean",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "parse_versions",
    "records",
    "string",
    "struct",
    "uint16",
    "uint32",
    "uuid",
]

ZERO_UUID = codec.ZERO_UUID
"""How the protocol says "no id"."""


@dataclass(frozen=True, slots=True)
class VersionRange:
    """The versions `min` to `max`, both included; empty when `max` < `min`."""

    min: int
    max: int

    def __contains__(self, version: int) -> bool:
        return self.min <= version <= self.max

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.min, self.max + 1))


@functools.cache
def parse_versions(text: str) -> VersionRange:
    """Kafka's notation of a version range: "none", "4", "0-9" or "3+"."""
    if text == "none":
        return VersionRange(0, -1)
    if text.endswith("+"):
        return VersionRange(int(text[:-1]), 0x7FFF)
    first, _, last = text.partition("-")
    return VersionRange(int(first), int(last or first))


class WireType:
    """A type of the protocol that is not a struct or an array; called, it declares a field."""

    __slots__ = ("default", "kind", "name")

    def __init__(self, name: str, default: object) -> None:
        self.name = name
        self.kind = codec.KINDS[name]
        self.default = default

    def __call__(
        self,
        versions: str,
        *,
        nullable: str = "none",
        default: object = ...,
        tag: int = -1,
        ignorable: bool = False,
    ) -> Any:
        """A field of this type; `default` is the type's own zero unless given."""
        if default is ...:
            default = self.default
        return Field(self.kind, None, versions, nullable, default, tag, ignorable)

    def __repr__(self) -> str:
        return self.name


int8 = WireType("int8", 0)
int16 = WireType("int16", 0)
uint16 = WireType("uint16", 0)
int32 = WireType("int32", 0)
uint32 = WireType("uint32", 0)
int64 = WireType("int64", 0)
float64 = WireType("float64", 0.0)
boolean = WireType("boolean", False)
uuid = WireType("uuid", ZERO_UUID)
string = WireType("string", "")
binary = WireType("bytes", b"")
# Record batches are bytes to this room; Kafka's default for them is null, not empty.
records = WireType("bytes", None)


class Field:
    """How one field of a struct travels, in every version."""

    __slots__ = ("default", "element", "ignorable", "kind", "nullable", "tag", "versions")

    def __init__(
        self,
        kind: int,
        element: WireType | type[Struct] | None,
        versions: str,
        nullable: str,
        default: object,
        tag: int,
        ignorable: bool,
    ) -> None:
        self.kind = kind
        """One of the kinds of `kstore._native.codec`."""
        self.element = element
        """What an array holds, or the struct of a struct field."""
        self.versions = versions
        self.nullable = nullable
        """The versions in which None is a value."""
        self.default = default
        """The default; for arrays `list` and for structs the class, called for each new value."""
        self.tag = tag
        """The tag, or -1 for a field that is always written (KIP-482)."""
        self.ignorable = ignorable
        """Whether encoding may drop a value that the version cannot carry."""


def array(
    element: WireType | type[Struct],
    versions: str,
    *,
    nullable: str = "none",
    default: type[list[Any]] | None = list,
    tag: int = -1,
    ignorable: bool = False,
) -> Any:
    """A field that is a list of `element`."""
    return Field(codec.KINDS["array"], element, versions, nullable, default, tag, ignorable)


def struct(
    struct_type: type[Struct],
    versions: str,
    *,
    nullable: str = "none",
    default: object = ...,
    tag: int = -1,
    ignorable: bool = False,
) -> Any:
    """A field that is one struct; its default is a struct of defaults, or None if given so."""
    if default is ...:
        default = struct_type
    return Field(codec.KINDS["struct"], struct_type, versions, nullable, default, tag, ignorable)


@dataclass_transform(kw_only_default=True)
class StructType(type):
    """Makes the slots of a struct out of its fields."""

    FIELDS: dict[str, Field]
    """The fields in wire order."""

    LAYOUT: codec.Layout
    """Where the native codec finds them."""

    PLANS: dict[int, codec.Plan]
    """The native plan of each version asked for so far; `kstore.wire.codec` fills it."""

    def __new__(
        metatype,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        **options: Any,
    ) -> StructType:
        for base in bases:
            if getattr(base, "FIELDS", None):
                raise TypeError(f"{base.__name__} has fields, so it cannot be a base")
        fields = {key: value for key, value in namespace.items() if isinstance(value, Field)}
        # A slot and a class attribute of the same name exclude each other.
        for key in fields:
            del namespace[key]
        namespace["__slots__"] = tuple(fields)
        struct_type = super().__new__(metatype, name, bases, namespace, **options)
        struct_type.FIELDS = fields
        struct_type.PLANS = {}
        struct_type.LAYOUT = codec.Layout(
            struct_type, [(key, field.default) for key, field in fields.items()]
        )
        return struct_type


class Struct(codec.Struct, metaclass=StructType):
    """A part of a message; see the module for what its instances can do."""


class Message(Struct):
    """A whole message: a request, a response, or data that clients hand to each other."""

    API_KEY: ClassVar[int]
    """The number of the API, -1 for data."""
    VERSIONS: ClassVar[VersionRange]
    """The versions that the schema knows."""
    FLEXIBLE: ClassVar[VersionRange]
    """The versions with compact lengths and tagged fields (KIP-482)."""

    def __init_subclass__(
        cls, *, api_key: int = -1, versions: str = "none", flexible: str = "none"
    ) -> None:
        super().__init_subclass__()
        cls.API_KEY = api_key
        cls.VERSIONS = parse_versions(versions)
        cls.FLEXIBLE = parse_versions(flexible)


class Request(Message):
    """What a client sends."""


class Response(Message):
    """What a broker answers."""
