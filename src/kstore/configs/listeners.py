"""Listener addresses as configs write them: `PLAINTEXT://host:port`.

One PLAINTEXT listener is served; anything else is refused at start, with Kafka's words where Kafka
refuses it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kstore.configs.definitions import ConfigError, invalid

__all__ = ["Listener", "advertised_listeners", "listeners"]

_ENDPOINT = re.compile(r"(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]{1,9})", re.ASCII)
_MAX_PORT = 65_535
_META_ADDRESSES = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens, or what it advertises.

    An empty `host` stands for every interface when listening, and for this machine's own name when
    advertised; port 0 for a free port.
    """

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


def listeners(settings: Mapping[str, Any]) -> tuple[Listener, ...]:
    """Where to listen. ConfigError if `listeners` can't be read or served."""
    return _parse_all("listeners", settings["listeners"])


def advertised_listeners(settings: Mapping[str, Any]) -> tuple[Listener, ...]:
    """What clients are told to connect to: `advertised.listeners`, or else `listeners`.

    ConfigError for an address that no client could use. The caller puts in the real port for 0.
    """
    advertised = settings["advertised.listeners"]
    name = "listeners" if advertised is None else "advertised.listeners"
    parsed = _parse_all(name, settings[name])
    for listener in parsed:
        if listener.host in _META_ADDRESSES:
            raise ConfigError(
                "advertised.listeners",
                "advertised.listeners cannot use the nonroutable meta-address "
                f"{listener.host}. Use a routable IP address.",
            )
    return parsed


def _parse_all(name: str, texts: tuple[str, ...]) -> tuple[Listener, ...]:
    parsed = tuple(_parse(name, text) for text in texts)
    if len(parsed) > 1:
        raise invalid(name, ",".join(texts), "Only one listener is served")
    return parsed


def _parse(name: str, text: str) -> Listener:
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise invalid(name, text, f"Unable to parse {text} to a broker endpoint")
    listener = Listener(match[1].upper(), match[2], int(match[3]))
    if not 0 <= listener.port <= _MAX_PORT:
        raise invalid(name, text, f"Port must be between 0 and {_MAX_PORT}")
    if listener.name != "PLAINTEXT":
        raise invalid(name, text, f"No security protocol defined for listener {listener.name}")
    return listener
