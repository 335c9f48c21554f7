"""Settings given to a client: `key=value` words and Java properties files, for confluent-kafka.

Kafka's tools hand such settings to the Java client. confluent-kafka knows most of them by the same
name; this file holds the table of those that it calls otherwise or has no need of. A name that is
in neither table goes to confluent-kafka as it is; `kstore.cli.clients` drops with a warning what
confluent-kafka does not know, as the Java client does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kstore.cli.errors import CallError
from kstore.configs.properties import parse_properties

__all__ = ["DEFAULT_TIMEOUT_S", "client_settings", "parse_pairs", "read_properties", "timeout_of"]

DEFAULT_TIMEOUT_S = 30.0

# Java client settings that say nothing to confluent-kafka, which knows bytes only and blocks where
# its caller says.
_JAVA_ONLY = {
    "default.api.timeout.ms",
    "key.deserializer",
    "key.serializer",
    "max.block.ms",
    "max.poll.records",
    "value.deserializer",
    "value.serializer",
}

_RENAMED = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.truststore.location": "ssl.ca.location",
}

_ASSIGNORS = {
    "CooperativeStickyAssignor": "cooperative-sticky",
    "RangeAssignor": "range",
    "RoundRobinAssignor": "roundrobin",
}


def parse_pairs(pairs: Iterable[str] | None) -> dict[str, str]:
    """Settings from words `key=value`; a word without `=` has an empty value, as in Kafka."""
    settings = {}
    for pair in pairs or ():
        key, _, value = pair.partition("=")
        if not key:
            raise CallError(f"'{pair}': want KEY=VALUE")
        settings[key] = value
    return settings


def read_properties(file: Path | None) -> dict[str, str]:
    """Settings from a Java properties file; none without a file."""
    if file is None:
        return {}
    try:
        return parse_properties(file.read_text("iso-8859-1"))
    except (OSError, ValueError) as error:
        raise CallError(f"{file}: {error}") from error


def timeout_of(settings: Mapping[str, str]) -> float:
    """Seconds to wait for an answer, from Kafka's settings for that."""
    for name in ("default.api.timeout.ms", "request.timeout.ms"):
        if name in settings:
            try:
                return int(settings[name]) / 1000
            except ValueError:
                raise CallError(f"{name}={settings[name]}: want a number") from None
    return DEFAULT_TIMEOUT_S


def client_settings(java: Mapping[str, str]) -> dict[str, str]:
    """confluent-kafka's settings for settings of the Java client."""
    settings: dict[str, str] = {}
    for name, value in java.items():
        if name in _JAVA_ONLY:
            continue
        if name in _TRANSLATED:
            settings |= _TRANSLATED[name](value)
        else:
            settings[_RENAMED.get(name, name)] = value
    return settings


def _assignors(value: str) -> dict[str, str]:
    names = [name.strip().rpartition(".")[2] for name in value.split(",")]
    return {"partition.assignment.strategy": ",".join(_ASSIGNORS.get(n, n) for n in names)}


def _buffer_memory(value: str) -> dict[str, str]:
    try:
        kbytes = max(1, int(value) // 1024)
    except ValueError:
        raise CallError(f"buffer.memory={value}: want a number of bytes") from None
    return {"queue.buffering.max.kbytes": str(kbytes)}


def _host_check(value: str) -> dict[str, str]:
    return {"ssl.endpoint.identification.algorithm": value or "none"}


def _jaas(value: str) -> dict[str, str]:
    """User and password of a login module: `...PlainLoginModule required username="u" ...;`."""
    found = dict(re.findall(r'(username|password)\s*=\s*"((?:\\.|[^"\\])*)"', value))
    return {f"sasl.{name}": re.sub(r"\\(.)", r"\1", text) for name, text in found.items()}


def _offset_reset(value: str) -> dict[str, str]:
    return {"auto.offset.reset": "error" if value == "none" else value}


_TRANSLATED: dict[str, Callable[[str], dict[str, str]]] = {
    "auto.offset.reset": _offset_reset,
    "buffer.memory": _buffer_memory,
    "partition.assignment.strategy": _assignors,
    "sasl.jaas.config": _jaas,
    "ssl.endpoint.identification.algorithm": _host_check,
}
