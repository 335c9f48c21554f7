"""The choice of what retention lets go, beside a plain model of Kafka's three rules."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from kstore.log.expiry import Expired, choose_expired

NOW_MS = 1_000
NO_LIMIT = 1 << 30


@dataclass
class Piece:
    base_offset: int
    size: int
    newest_ms: int

    def largest_timestamp(self) -> int:
        return self.newest_ms


@dataclass
class Situation:
    pieces: list[Piece]
    end: int
    start: int
    high_watermark: int
    retention_bytes: int
    retention_ms: int

    def choose(self, limit: int = NO_LIMIT) -> Expired:
        return choose_expired(
            self.pieces,
            self.end,
            size=sum(piece.size for piece in self.pieces),
            log_start_offset=self.start,
            high_watermark=self.high_watermark,
            retention_bytes=self.retention_bytes,
            retention_ms=self.retention_ms,
            now_ms=NOW_MS,
            limit=limit,
        )

    def end_of(self, index: int) -> int:
        following = self.pieces[index + 1 :]
        return following[0].base_offset if following else self.end


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    pieces, end = [], draw(st.integers(0, 3))
    for count in counts:
        size = draw(st.integers(0, 50))
        pieces.append(Piece(end, size, draw(st.integers(0, NOW_MS + 200))))
        end += count
    if draw(st.booleans()):
        pieces[-1].size, end = 0, pieces[-1].base_offset
    high_watermark = draw(st.integers(pieces[0].base_offset, end))
    return Situation(
        pieces,
        end,
        draw(st.integers(pieces[0].base_offset, high_watermark)),
        high_watermark,
        draw(st.integers(-1, 300)),
        draw(st.integers(-1, NOW_MS)),
    )


def in_kafka(case: Situation) -> list[Piece]:
    """What is left after Kafka's three passes, each of which deletes from the front."""
    left = list(case.pieces)

    def is_last(piece: Piece) -> bool:
        return piece is case.pieces[-1]

    def committed(piece: Piece) -> bool:
        return case.high_watermark >= case.end_of(case.pieces.index(piece))

    def goes(piece: Piece) -> bool:
        return committed(piece) and not (is_last(piece) and piece.size == 0)

    while not is_last(left[0]) and case.end_of(case.pieces.index(left[0])) <= case.start:
        left.pop(0)
    while (
        case.retention_bytes >= 0
        and left
        and goes(left[0])
        and sum(piece.size for piece in left[1:]) >= case.retention_bytes
    ):
        left.pop(0)
    while (
        case.retention_ms >= 0
        and left
        and goes(left[0])
        and NOW_MS - left[0].newest_ms > case.retention_ms
    ):
        left.pop(0)
    return left


@given(situations())
def test_the_choice_is_kafkas(case: Situation) -> None:
    left = in_kafka(case)
    assert case.pieces[case.choose().total :] == left


@given(situations())
def test_nothing_that_is_not_committed_goes(case: Situation) -> None:
    total = case.choose().total
    if total:
        assert case.end_of(total - 1) <= case.high_watermark


@given(situations(), st.integers(1, 3))
def test_a_few_at_a_time_come_to_the_same(case: Situation, limit: int) -> None:
    at_once = case.choose().total
    gone = 0
    pieces = case.pieces
    while True:
        expired = case.choose(limit)
        assert expired.by_size + expired.by_time <= limit
        if not expired.total:
            break
        gone += expired.total
        case.start = max(case.start, case.end_of(expired.total - 1))
        if gone == len(pieces):
            break
        case.pieces = pieces[gone:]
    assert gone == at_once


def test_the_bounds_are_kafkas() -> None:
    """A log keeps at least retention.bytes; a record goes once it is older, not as old."""
    pieces = [Piece(0, 10, 100), Piece(1, 10, 200), Piece(2, 10, 300)]
    case = Situation(pieces, 3, 0, 3, -1, -1)
    assert case.choose() == (0, 0, 0)
    for retention_bytes, gone in ((31, 0), (30, 0), (21, 0), (20, 1), (11, 1), (10, 2), (0, 3)):
        case.retention_bytes = retention_bytes
        assert case.choose() == (0, gone, 0)
    case.retention_bytes = -1
    for retention_ms, gone in ((900, 0), (899, 1), (800, 1), (700, 2), (699, 3), (0, 3)):
        case.retention_ms = retention_ms
        assert case.choose() == (0, 0, gone)
