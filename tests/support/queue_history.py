"""What clients of a queue sent, were told and read, and the anomalies in it.

The anomalies are those that Jepsen's analyses of Kafka and Redpanda name. Every value is sent once,
so a value names its record. Readers are read_committed unless they say otherwise. Times are those
of one clock that all clients share; an event that was seen later than it happened hides an anomaly,
and never invents one, because each is told by its client after what it tells.

    lost write           acknowledged and committed, and behind what was read; read by nobody
    duplicate            a value at two offsets
    aborted read         a value of a transaction of which a client was told that it was aborted
    early read           a value of a transaction whose commit nobody had asked for yet
    skipped poll         a reader went past an offset that holds a value for other readers like it
    non-monotonic poll   a reader came to an offset that it had come past
    non-monotonic send   a later record of one producer was acknowledged at an earlier offset
    inconsistent offset  one offset, two values: told to a producer, or read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from math import inf

__all__ = ["COMMITTED", "Anomaly", "Ending", "History", "Kind", "find_anomalies"]


class Kind(Enum):
    """Jepsen's names, where it has one."""

    LOST_WRITE = "lost write"
    DUPLICATE = "duplicate"
    ABORTED_READ = "aborted read"
    EARLY_READ = "early read"
    SKIPPED_POLL = "skipped poll"
    NON_MONOTONIC_POLL = "non-monotonic poll"
    NON_MONOTONIC_SEND = "non-monotonic send"
    INCONSISTENT_OFFSET = "inconsistent offset"


class Ending(Enum):
    """What a client was told of a transaction's end; UNKNOWN if it was told nothing."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


COMMITTED = "read_committed"


@dataclass(frozen=True, slots=True)
class Anomaly:
    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.what}"


@dataclass(slots=True)
class _Send:
    """A record on its way: `offset` once it was acknowledged."""

    producer: str
    partition: int
    transaction: str
    offset: int | None = None


@dataclass(slots=True)
class _Transaction:
    ending: Ending = Ending.UNKNOWN
    commit_asked_at: float = inf


@dataclass(slots=True)
class _Read:
    """A value that a poll brought."""

    at: float
    partition: int
    offset: int
    value: str


@dataclass(slots=True)
class _Run:
    """What one reader read from when it was given its partitions until they changed."""

    reader: str
    isolation: str
    reads: list[_Read] = field(default_factory=list)


class History:
    """Takes what clients tell, in the order in which each of them told it."""

    def __init__(self) -> None:
        self.sends: dict[str, _Send] = {}
        self.transactions: dict[str, _Transaction] = defaultdict(_Transaction)
        self.runs: list[_Run] = []
        self._current: dict[str, _Run] = {}

    def send(self, producer: str, partition: int, value: str, transaction: str = "") -> None:
        """A producer is about to send; without a transaction the record needs no commit."""
        assert value not in self.sends, f"{value} is sent twice"
        self.sends[value] = _Send(producer, partition, transaction)
        if transaction:
            self.transactions[transaction]

    def acknowledge(self, value: str, offset: int) -> None:
        self.sends[value].offset = offset

    def ask_for_commit(self, transaction: str, at: float) -> None:
        self.transactions[transaction].commit_asked_at = at

    def end(self, transaction: str, ending: Ending) -> None:
        self.transactions[transaction].ending = ending

    def begin_reading(self, reader: str, isolation: str = COMMITTED) -> None:
        """A reader was given partitions, or sought: it may begin anywhere."""
        self._current[reader] = run = _Run(reader, isolation)
        self.runs.append(run)

    def poll(self, reader: str, records: Iterable[tuple[int, int, str]], at: float = inf) -> None:
        """What a poll brought: partition, offset and value of each record, in order."""
        if reader not in self._current:
            self.begin_reading(reader)
        self._current[reader].reads += [_Read(at, *record) for record in records]


def find_anomalies(history: History) -> list[Anomaly]:
    """All that is wrong with it; nothing if clients that were told this can be content."""
    return [
        *_lost_writes(history),
        *_duplicates(history),
        *_unready_reads(history),
        *_bad_polls(history),
        *_bad_sends(history),
        *_inconsistent_offsets(history),
    ]


def _all_reads(history: History) -> Iterator[_Read]:
    return (read for run in history.runs for read in run.reads)


def _lost_writes(history: History) -> Iterator[Anomaly]:
    """Behind the last value that was read of a partition at read_committed, all must be read."""
    last: dict[int, int] = defaultdict(lambda: -1)
    for run in history.runs:
        if run.isolation == COMMITTED:
            for read in run.reads:
                last[read.partition] = max(last[read.partition], read.offset)
    seen = {read.value for read in _all_reads(history)}
    for value, sent in history.sends.items():
        if sent.offset is None or value in seen or sent.offset > last[sent.partition]:
            continue
        if not sent.transaction or _ending_of(history, sent) is Ending.COMMITTED:
            yield Anomaly(
                Kind.LOST_WRITE, f"{value}, acknowledged at {sent.partition}:{sent.offset}"
            )


def _ending_of(history: History, sent: _Send) -> Ending:
    return history.transactions[sent.transaction].ending


def _places(history: History) -> Iterator[tuple[tuple[int, int], str]]:
    """Where values stand, as producers were told and as readers saw."""
    for value, sent in history.sends.items():
        if sent.offset is not None:
            yield (sent.partition, sent.offset), value
    for read in _all_reads(history):
        yield (read.partition, read.offset), read.value


def _duplicates(history: History) -> Iterator[Anomaly]:
    places = defaultdict(set)
    for place, value in _places(history):
        places[value].add(place)
    for value, found in places.items():
        if len(found) > 1:
            yield Anomaly(Kind.DUPLICATE, f"{value} at {_in_words(sorted(found))}")


def _inconsistent_offsets(history: History) -> Iterator[Anomaly]:
    values = defaultdict(set)
    for place, value in _places(history):
        values[place].add(value)
    for place, found in values.items():
        if len(found) > 1:
            yield Anomaly(Kind.INCONSISTENT_OFFSET, f"{sorted(found)} at {_in_words([place])}")


def _in_words(places: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in places)


def _unready_reads(history: History) -> Iterator[Anomaly]:
    """What read_committed should not have shown, or not yet."""
    for run in history.runs:
        for read in run.reads if run.isolation == COMMITTED else ():
            sent = history.sends.get(read.value)
            if sent is None or not sent.transaction:
                continue
            transaction = history.transactions[sent.transaction]
            if transaction.ending is Ending.ABORTED:
                yield Anomaly(Kind.ABORTED_READ, f"{read.value} by {run.reader}")
            elif read.at < transaction.commit_asked_at:
                yield Anomaly(Kind.EARLY_READ, f"{read.value} by {run.reader}")


def _bad_polls(history: History) -> Iterator[Anomaly]:
    """From one record to the next that a reader got of a partition."""
    known = _known_offsets(history)
    for run in history.runs:
        for partition, offsets in _offsets_of(run).items():
            for before, after in pairwise(offsets):
                if after <= before:
                    yield Anomaly(
                        Kind.NON_MONOTONIC_POLL,
                        f"{run.reader} read {partition}:{after} after {partition}:{before}",
                    )
                    continue
                skipped = [
                    offset
                    for offset in range(before + 1, after)
                    if (partition, offset) in known[run.isolation]
                ]
                if skipped:
                    yield Anomaly(
                        Kind.SKIPPED_POLL,
                        f"{run.reader} went from {partition}:{before} to {after} past {skipped}",
                    )


def _known_offsets(history: History) -> dict[str, set[tuple[int, int]]]:
    """The offsets that hold a value for readers of each isolation.

    What a reader at read_committed saw is there for all. An acknowledged write without a
    transaction, or of a committed one, is too.
    """
    known: dict[str, set[tuple[int, int]]] = defaultdict(set, {COMMITTED: set()})
    for run in history.runs:
        known[run.isolation] |= {(read.partition, read.offset) for read in run.reads}
    for sent in history.sends.values():
        committed = not sent.transaction or _ending_of(history, sent) is Ending.COMMITTED
        if committed and sent.offset is not None:
            known[COMMITTED].add((sent.partition, sent.offset))
    for offsets in known.values():
        offsets |= known[COMMITTED]
    return known


def _offsets_of(run: _Run) -> dict[int, list[int]]:
    offsets: dict[int, list[int]] = defaultdict(list)
    for read in run.reads:
        offsets[read.partition].append(read.offset)
    return offsets


def _bad_sends(history: History) -> Iterator[Anomaly]:
    """Records of one producer stand in the order in which it sent them."""
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for value, sent in history.sends.items():
        if sent.offset is None:
            continue
        key = (sent.producer, sent.partition)
        if key in last and sent.offset < last[key][0]:
            before, earlier = last[key]
            yield Anomaly(
                Kind.NON_MONOTONIC_SEND,
                f"{earlier} at {sent.partition}:{before}, after it {value} at {sent.offset}",
            )
        last[key] = (sent.offset, value)
