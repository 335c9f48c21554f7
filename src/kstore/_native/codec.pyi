from typing import Any, ClassVar, Final, Never, Self, TypeAlias, final
from uuid import UUID

# (field name, kind, element kind, nullable, ignorable, tag, child plan)
_Step: TypeAlias = tuple[str, int, int, bool, bool, int, Plan | None]

KINDS: Final[dict[str, int]]
"""The kinds of values, by the names that messages are written in."""

ZERO_UUID: Final[UUID]
"""How the protocol says "no id"."""

class CodecError(ValueError):
    """What DecodeError and EncodeError share: a reason, and the field it happened in."""

    reason: str
    path: str
    def __init__(self, reason: str) -> None: ...

class DecodeError(CodecError):
    """Bytes that are not a message of this type and version."""

    position: int
    def __init__(self, reason: str, position: int) -> None: ...

class EncodeError(CodecError):
    """A message that the version cannot carry, or with a value that its field cannot hold."""

@final
class Layout:
    """Where the fields of a struct type lie in its instances, and their defaults.

    `fields` are (name, default); `list` and struct types as defaults are called for each instance.
    """

    @property
    def struct_type(self) -> type: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def __new__(cls, struct_type: type, fields: list[tuple[str, object]]) -> Self: ...

class Struct:
    """The base of all structs: keyword construction, comparison and printing by value."""

    LAYOUT: ClassVar[Layout]
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __init__(self, *args: Never, **fields: Any) -> None: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class Plan:
    """How one struct type travels in one version.

    `plain`, `tagged` and `absent` are the fields in wire order, the optional ones by tag, and those
    that the version does not have. Together they name every field of the layout once.
    """

    @property
    def layout(self) -> Layout: ...
    @property
    def flexible(self) -> bool: ...
    @property
    def min_size(self) -> int: ...
    def __new__(
        cls,
        layout: Layout,
        flexible: bool,
        plain: list[_Step],
        tagged: list[_Step],
        absent: list[_Step],
    ) -> Self: ...
