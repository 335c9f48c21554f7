"""How one config is defined, parsed and checked: the grammar under the two tables.

The messages are those of Kafka's `ConfigDef` and `ConfigException`, word for word, because they
reach people through CreateTopics and the like, and tools compare them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Check",
    "Config",
    "ConfigError",
    "ConfigType",
    "ConfigValue",
    "ListOf",
    "Synonym",
    "at_least",
    "between",
    "invalid",
    "one_of",
]

ConfigValue = bool | int | float | str | tuple[str, ...] | None
"""What the text of a config is parsed to. A list is a tuple; None is "not set"."""

Check = Callable[[str, ConfigValue], None]
"""Raises ConfigError if the value must not stand for the config of that name."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_COMMA = re.compile(r"\s*,\s*")


class ConfigError(ValueError):
    """A setting that can't be used. `name` is the config; the text is one line that names it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def invalid(name: str, value: object, reason: str) -> ConfigError:
    """The error for a bad value, in Kafka's words."""
    return ConfigError(name, f"Invalid value {value} for configuration {name}: {reason}")


class ConfigType(Enum):
    """Kafka's types of configs, by the names it gives them in DescribeConfigs and documents."""

    BOOLEAN = "boolean"
    SHORT = "short"
    INT = "int"
    LONG = "long"
    DOUBLE = "double"
    STRING = "string"
    LIST = "list"


_BITS = {ConfigType.SHORT: 16, ConfigType.INT: 32, ConfigType.LONG: 64}


@dataclass(frozen=True, slots=True)
class Synonym:
    """A broker config that gives a topic config its default, and what to multiply it by."""

    name: str
    factor: int = 1


@dataclass(frozen=True, slots=True)
class Config:
    """One config of the broker or of a topic.

    `dynamic`: may change while the broker runs. `synonyms`: for a topic config, the broker configs
    that set its default, the first that is set wins. `internal`: taken, but never described to
    clients. `differs`: why the default is not Kafka's, where it is not.
    """

    name: str
    type: ConfigType
    default: ConfigValue
    doc: str
    check: Check | None = None
    dynamic: bool = False
    synonyms: tuple[Synonym, ...] = ()
    internal: bool = False
    differs: str = ""

    def parse(self, text: str) -> ConfigValue:
        """The value that `text` stands for; ConfigError if it is of the wrong type or range."""
        value = _parse(self.name, self.type, text)
        if isinstance(self.check, ListOf) and isinstance(value, tuple):
            value = tuple(dict.fromkeys(value))
        if self.check is not None:
            self.check(self.name, value)
        return value

    def format(self, value: ConfigValue) -> str | None:
        """The text of a value as Kafka writes it in DescribeConfigs; None for "not set"."""
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            return ",".join(value)
        return str(value).replace("e+", "E") if isinstance(value, float) else str(value)


def _parse(name: str, type_: ConfigType, text: str) -> ConfigValue:
    trimmed = text.strip()
    if type_ is ConfigType.BOOLEAN:
        if trimmed.lower() not in ("true", "false"):
            raise invalid(name, text, "Expected value to be either true or false")
        return trimmed.lower() == "true"
    if type_ in _BITS:
        limit = 1 << (_BITS[type_] - 1)
        # The length is checked first: int() takes quadratic time over very long texts.
        number = int(trimmed) if len(trimmed) <= 64 and _INTEGER.fullmatch(trimmed) else limit
        if not -limit <= number < limit:
            raise invalid(name, text, f"Not a number of type {type_.name}")
        return number
    if type_ is ConfigType.DOUBLE:
        if not _DECIMAL.fullmatch(trimmed):
            raise invalid(name, text, "Not a number of type DOUBLE")
        return float(trimmed)
    if type_ is ConfigType.LIST:
        return tuple(_COMMA.split(trimmed)) if trimmed else ()
    return trimmed


def at_least(minimum: int) -> Check:
    """Numbers from `minimum` on."""

    def check(name: str, value: ConfigValue) -> None:
        assert isinstance(value, int | float)
        if value < minimum:
            raise invalid(name, value, f"Value must be at least {minimum}")

    return check


def between(minimum: int, maximum: int) -> Check:
    """Numbers from `minimum` to `maximum`, both included."""
    lower = at_least(minimum)

    def check(name: str, value: ConfigValue) -> None:
        lower(name, value)
        assert isinstance(value, int | float)
        if value > maximum:
            raise invalid(name, value, f"Value must be no more than {maximum}")

    return check


def one_of(*allowed: str) -> Check:
    """One of a few words."""

    def check(name: str, value: ConfigValue) -> None:
        if value not in allowed:
            raise invalid(name, value, f"String must be one of: {', '.join(allowed)}")

    return check


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list without empty items, of the words allowed (of any, if none is named).

    Of such a list Kafka drops what comes twice (KIP-1161), and so does `Config.parse`.
    """

    allowed: tuple[str, ...] = ()
    empty: bool = True

    def __call__(self, name: str, value: ConfigValue) -> None:
        assert isinstance(value, tuple)
        if not value and not self.empty:
            words = f"[{', '.join(self.allowed)}]" if self.allowed else "any non-empty value"
            raise ConfigError(
                name, f"Configuration '{name}' must not be empty. Valid values include: {words}"
            )
        for item in value:
            if not item:
                raise ConfigError(name, f"Configuration '{name}' values must not be empty.")
            if self.allowed:
                one_of(*self.allowed)(name, item)
