"""Names of topics: which are allowed, which collide, which are internal (Kafka's `Topic`)."""

from __future__ import annotations

import re

from kstore.errors import ErrorCode, KafkaError

__all__ = ["INTERNAL_TOPICS", "check_topic_name", "is_internal", "may_collide", "unified_name"]

MAX_NAME_SIZE = 249
"""With `-`, a partition's number and a file system's limit of 255 bytes in mind."""

INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})

_LEGAL = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def check_topic_name(name: str) -> None:
    """KafkaError(INVALID_TOPIC_EXCEPTION) with Kafka's words unless a topic may have this name."""
    reason = _fault(name)
    if reason:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")


def _fault(name: str) -> str:
    if not name:
        return "the empty string is not allowed"
    if name in (".", ".."):
        return f"'{name}' is not allowed"
    if len(name) > MAX_NAME_SIZE:
        return f"the length of '{name}' is longer than the max allowed length {MAX_NAME_SIZE}"
    if not _LEGAL.fullmatch(name):
        return (
            f"'{name}' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'"
        )
    return ""


def is_internal(name: str) -> bool:
    """Whether the broker itself keeps its records in this topic."""
    return name in INTERNAL_TOPICS


def may_collide(name: str) -> bool:
    """Whether another name could be told from this one only by `.` and `_`."""
    return "." in name or "_" in name


def unified_name(name: str) -> str:
    """The same for all names that collide: metrics can't tell `a.b` from `a_b`."""
    return name.replace(".", "_")
