"""Which partition of a coordinator's topic a key belongs to.

Clients never compute it, but Kafka's own tools and a Kafka that opens our directory do, so it has
to be Kafka's: `Utils.abs(key.hashCode()) % partitions`. Pure functions; any thread.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["java_string_hash", "partition_for"]

_INT32_MIN = -(1 << 31)
_REMEMBERED_LENGTH = 256


def java_string_hash(text: str) -> int:
    """Java's `String.hashCode`: over UTF-16 code units, as a signed 32-bit number."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + (units[index] << 8 | units[index + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def partition_for(key: str, partition_count: int) -> int:
    """The partition of `key` among `partition_count`.

    The smallest number has no positive counterpart in Java: Kafka's `Utils.abs` makes it 0.
    """
    # Every request of a group asks; keys of reasonable length are remembered, so that hostile
    # ones can't fill the memory.
    hashed = _remembered_hash if len(key) <= _REMEMBERED_LENGTH else java_string_hash
    value = hashed(key)
    return 0 if value == _INT32_MIN else abs(value) % partition_count


_remembered_hash = lru_cache(maxsize=10_000)(java_string_hash)
