"""Pipelines that read numbers, and write each once, as processes that are killed.

Each module is a program (`python -m tests.faults.pipelines.<name> BOOTSTRAP INPUT OUTPUT GROUP
INSTANCE RECORDS SEED`), and so is judges/java/Pipeline.java. It moves records in transactions of at
most RECORDS, with INSTANCE as its transactional id, aborts a fifth of them on purpose, and ends
when its stdin is closed. Of each step it says a line:

    ready INSTANCE           it has its transactional id, and reads
    open T                   a part of transaction T was written and acknowledged
    ending T                 all was, the offsets too; next it asks to end T
    committed T COUNT        it was told so; T has COUNT records
    aborted T COUNT          the same, of one that it aborted on purpose
    given-up T               an error broke T, and it was aborted
    note TEXT                anything else

A record says which transaction wrote it, and what was to become of that: `NUMBER T commit` or
`NUMBER T abort`.
"""

from __future__ import annotations

import os
import random
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass

ABORTED_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """What a pipeline is told at its start."""

    bootstrap_servers: str
    input_topic: str
    output_topic: str
    group: str
    instance: str
    record_count: int
    seed: int

    @classmethod
    def from_words(cls) -> Job:
        bootstrap, source, target, group, instance, count, seed = sys.argv[1:]
        return cls(bootstrap, source, target, group, instance, int(count), int(seed))

    def transactions(self) -> Iterator[tuple[str, bool]]:
        """The names of transactions, and whether each is to be aborted."""
        choices = random.Random(self.seed)
        number = 0
        while True:
            yield f"{self.instance}-{os.getpid()}-{number}", choices.random() < ABORTED_SHARE
            number += 1


def say(*words: object) -> None:
    print(*words, flush=True)


def is_told_to_stop() -> bool:
    """Whether stdin was closed."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def output_value(value: bytes, transaction: str, aborting: bool) -> bytes:
    return b"%s %s %s" % (value, transaction.encode(), b"abort" if aborting else b"commit")
