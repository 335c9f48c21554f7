"""Which partition of a coordinator's topic a key belongs to.

Clients never compute it, but Kafka's own tools and a Kafka that opens our directory do, so it has
to be Kafka's: `Utils.abs(key.hashCode()) % partitions`. Pure functions; any thread.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["java_string_hash", "partition_for"]

_INT32_MIN = -(1 << 31)


def java_string_hash(text: str) -> int:
    """Java's `String.hashCode`: over UTF-16 code units, as a signed 32-bit number."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + (units[index] << 8 | units[index + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


@lru_cache(maxsize=10_000)
def partition_for(key: str, partition_count: int) -> int:
    """The partition of `key` among `partition_count`.

    The smallest number has no positive counterpart in Java: Kafka's `Utils.abs` makes it 0.
    """
    value = java_string_hash(key)
    return 0 if value == _INT32_MIN else abs(value) % partition_count
