"""Listener addresses as configs write them: `PLAINTEXT://host:port`.

One PLAINTEXT listener is served, under whatever name `listener.security.protocol.map` gives it;
anything else is refused at start, with Kafka's words where Kafka refuses it too. A KRaft broker's
file also names its controller's listener (`controller.listener.names`): there is none here, so that
one is passed over.
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
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
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
    return _parse_all(settings, "listeners")


def advertised_listeners(settings: Mapping[str, Any]) -> tuple[Listener, ...]:
    """What clients are told to connect to: `advertised.listeners`, or else `listeners`.

    ConfigError for an address that no client could use. The caller puts in the real port for 0.
    """
    advertised = settings["advertised.listeners"]
    name = "listeners" if advertised is None else "advertised.listeners"
    parsed = _parse_all(settings, name)
    for listener in parsed:
        if listener.host in _META_ADDRESSES:
            raise ConfigError(
                "advertised.listeners",
                "advertised.listeners cannot use the nonroutable meta-address "
                f"{listener.host}. Use a routable IP address.",
            )
    return parsed


def _parse_all(settings: Mapping[str, Any], name: str) -> tuple[Listener, ...]:
    controllers = {listener.upper() for listener in settings["controller.listener.names"]}
    protocols = _protocols(settings["listener.security.protocol.map"])
    parsed = tuple(
        listener
        for listener in (_parse(name, text) for text in settings[name])
        if listener.name not in controllers
    )
    if len(parsed) != 1:
        raise invalid(name, ",".join(settings[name]), "One listener for clients is served")
    (listener,) = parsed
    if listener.name not in protocols:
        reason = f"No security protocol defined for listener {listener.name}"
        raise invalid(name, str(listener), reason)
    if protocols[listener.name] != "PLAINTEXT":
        reason = f"Security protocol {protocols[listener.name]} is not served yet"
        raise invalid(name, str(listener), reason)
    return parsed


def _protocols(pairs: tuple[str, ...]) -> dict[str, str]:
    """The security protocol of each listener name."""
    protocols = {}
    for pair in pairs:
        listener, colon, protocol = pair.partition(":")
        if not colon or protocol.upper() not in _PROTOCOLS:
            raise invalid("listener.security.protocol.map", pair, "Want listener:protocol")
        protocols[listener.strip().upper()] = protocol.strip().upper()
    return protocols


def _parse(name: str, text: str) -> Listener:
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise invalid(name, text, f"Unable to parse {text} to a broker endpoint")
    listener = Listener(match[1].upper(), match[2], int(match[3]))
    if not 0 <= listener.port <= _MAX_PORT:
        raise invalid(name, text, f"Port must be between 0 and {_MAX_PORT}")
    return listener
