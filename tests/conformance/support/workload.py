"""Records to write and to find again: every shape of key, value and header, made from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

BASE_TIMESTAMP_MS = 1_750_000_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as it was handed to a client, and as it must come back."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


def make_records(seed: int, count: int, partition_count: int) -> list[Sent]:
    """`count` records over all partitions; no two are equal, because the value names the record."""
    choices = random.Random(seed)
    padding = choices.randbytes(4096)
    records = []
    for number in range(count):
        size = choices.choice((0, 0, 7, 50, 300)) if number % 1000 else 4000
        start = choices.randrange(len(padding) - size)
        records.append(
            Sent(
                partition=choices.randrange(partition_count),
                key=choices.choice((None, b"", b"key-%d" % (number % 997), "schlüssel".encode())),
                value=b"%d " % number + padding[start : start + size],
                headers=choices.choice(
                    (
                        (),
                        (("number", b"%d" % number),),
                        (("a", b""), ("a", b"\x00\xff"), ("ü", b"2")),
                    )
                ),
                timestamp_ms=BASE_TIMESTAMP_MS + number,
            )
        )
    # A null value, Kafka's tombstone: the key names the record.
    records[count // 2] = Sent(0, b"tombstone %d" % count, None, (), BASE_TIMESTAMP_MS)
    return records


def by_partition(records: list[Sent]) -> dict[int, list[Sent]]:
    """The records of each partition, in the order in which they were sent."""
    partitions: dict[int, list[Sent]] = {}
    for record in records:
        partitions.setdefault(record.partition, []).append(record)
    return partitions
