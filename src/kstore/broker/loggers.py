"""The levels of this process's loggers, which clients may see and change while it runs (KIP-412).

Ours alone, those below `kstore`, and the root of all, which is called `root` as in Kafka. A level
is kept until the process ends. Kafka's TRACE is one below Python's DEBUG; FATAL is CRITICAL.
Thread: the loop. Source: Kafka's RuntimeLoggerManager, LoggingController.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kstore.configs import ConfigOperation, ConfigOperationType
from kstore.errors import ErrorCode, KafkaError

__all__ = ["change_levels", "levels"]

ROOT = "root"
OURS = "kstore"

_LEVELS = {
    "DEBUG": logging.DEBUG,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "INFO": logging.INFO,
    "TRACE": logging.DEBUG // 2,
    "WARN": logging.WARNING,
}

log = logging.getLogger("kstore.loggers")


def levels() -> dict[str, str]:
    """Each logger with the level in force for it: its own, or else that of the one above it."""
    known = logging.getLogger().manager.loggerDict
    ours = {name for name in known if name.startswith(f"{OURS}.")}
    return {
        name: _name_of(_logger(name).getEffectiveLevel()) for name in sorted({ROOT, OURS, *ours})
    }


def change_levels(operations: Sequence[ConfigOperation], *, validate_only: bool) -> None:
    """Sets levels, and lets loggers follow the one above them again; all of it or, with an error,
    nothing. Raises KafkaError: INVALID_CONFIG, INVALID_REQUEST."""
    known = levels()
    for operation in operations:
        _check(operation, known)
    if validate_only:
        return
    for operation in operations:
        level = _LEVELS[operation.value] if _sets(operation) else logging.NOTSET
        _logger(operation.name).setLevel(level)
        log.warning("level changed logger=%s level=%s", operation.name, operation.value or "unset")


def _check(operation: ConfigOperation, known: dict[str, str]) -> None:
    name = operation.name
    if operation.type not in (ConfigOperationType.SET, ConfigOperationType.DELETE):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"{operation.type.name} operation is not allowed for the BROKER_LOGGER resource",
        )
    if name not in known:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Logger {name} does not exist!")
    if _sets(operation):
        if operation.value not in _LEVELS:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Cannot set the log level of {name} to {operation.value} as it is not a supported "
                f"log level. Valid log levels are {', '.join(_LEVELS)}",
            )
    elif name == ROOT:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed"
        )


def _sets(operation: ConfigOperation) -> bool:
    return operation.type is ConfigOperationType.SET


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == ROOT else name)


def _name_of(level: int) -> str:
    """Kafka's name for a level; for one that has none, that of the next below."""
    below = [(number, name) for name, number in _LEVELS.items() if number <= level]
    return max(below)[1] if below else "TRACE"
