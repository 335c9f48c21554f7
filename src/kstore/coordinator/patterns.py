"""Regular expressions of clients, matched in time that grows with the text alone, as RE2 does.

Kafka takes them in RE2's syntax. Python's own could be made to run for hours by a hostile pattern,
and everybody's requests would wait for it. Here a pattern becomes a small automaton, and a text is
gone through once, with the set of the automaton's states; sets that were met are remembered.

Known: characters and escapes, `.`, classes, groups, alternatives, repetitions, `^` and `$`.
Refused, though RE2 knows it: flags, `\\b`, Unicode and POSIX classes. Back references and
look-arounds are in neither. Single-threaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import hexdigits

__all__ = ["Pattern", "PatternError"]

MAX_STEPS = 4_000
"""How much of it there may be, with what is repeated written out."""

MAX_DEPTH = 100
MAX_REPEAT = 1_000
"""RE2's limit of the numbers in `{n,m}`."""

MAX_REMEMBERED = 1_000

_LAST_CHARACTER = 0x10FFFF
_Ranges = tuple[tuple[int, int], ...]

_DIGITS: _Ranges = ((0x30, 0x39),)
_WORD: _Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: _Ranges = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_NEWLINE: _Ranges = ((0x0A, 0x0A),)


class PatternError(ValueError):
    """A pattern that makes no sense, is too large, or uses what is not known here."""


# What a pattern is made of


@dataclass(frozen=True, slots=True)
class _One:
    """One character out of these."""

    ranges: _Ranges


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Alternatives:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """At least `least` times, at most `most` if there is a limit."""

    part: _Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Edge:
    """The beginning of the text, or its end."""

    is_end: bool


_Node = _One | _Sequence | _Alternatives | _Repeat | _Edge


def _all_but(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    others = []
    following = 0
    for first, last in sorted(ranges):
        if first > following:
            others.append((following, first - 1))
        following = max(following, last + 1)
    if following <= _LAST_CHARACTER:
        others.append((following, _LAST_CHARACTER))
    return tuple(others)


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def parse(self) -> _Node:
        node = self._alternatives(0)
        if self._position < len(self._text):
            raise PatternError("unexpected )")
        return node

    def _next_is(self, token: str) -> bool:
        return self._text.startswith(token, self._position)

    def _take(self) -> str:
        if self._position == len(self._text):
            raise PatternError("the pattern ends too early")
        self._position += 1
        return self._text[self._position - 1]

    def _skip(self, token: str) -> bool:
        if not self._next_is(token):
            return False
        self._position += len(token)
        return True

    def _alternatives(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise PatternError("groups are nested too deeply")
        parts = [self._sequence(depth)]
        while self._skip("|"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else _Alternatives(tuple(parts))

    def _sequence(self, depth: int) -> _Node:
        parts = []
        while self._text[self._position : self._position + 1] not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))
        return _Sequence(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        repetition = self._repetition()
        if repetition is None:
            return part
        self._skip("?")  # lazy or not is all the same to a whole text
        if self._repetition() is not None:
            raise PatternError("a repetition is repeated")
        return _Repeat(part, *repetition)

    def _repetition(self) -> tuple[int, int | None] | None:
        """How often what stands before is to come; None if nothing is said here."""
        if self._skip("*"):
            return 0, None
        if self._skip("+"):
            return 1, None
        if self._skip("?"):
            return 0, 1
        return self._counts()

    def _counts(self) -> tuple[int, int | None] | None:
        """The numbers of `{n}`, `{n,}` or `{n,m}`; None if there is no such thing here."""
        if not self._next_is("{"):
            return None
        end = self._text.find("}", self._position)
        first, comma, last = self._text[self._position + 1 : max(end, 0)].partition(",")
        if not _is_number(first) or not (last == "" or _is_number(last)):
            return None
        self._position = end + 1
        least = int(first)
        most = None if comma and not last else int(last or first)
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise PatternError("a repetition has bad numbers")
        return least, most

    def _atom(self, depth: int) -> _Node:
        char = self._take()
        if char == "(":
            return self._group(depth)
        if char == "[":
            return _One(self._class())
        if char == ".":
            return _One(_all_but(_NEWLINE))
        if char in "^$":
            return _Edge(is_end=char == "$")
        if char in "*+?":
            raise PatternError(f"nothing to repeat before {char}")
        if char == "\\":
            if self._skip("A"):
                return _Edge(is_end=False)
            if self._skip("z"):
                return _Edge(is_end=True)
            return _One(self._escape())
        return _One(((ord(char), ord(char)),))

    def _group(self, depth: int) -> _Node:
        if self._skip("?P<") or self._skip("?<"):
            name, end, _ = self._text[self._position :].partition(">")
            if not end or not name.isidentifier():
                raise PatternError("a group has a bad name")
            self._position += len(name) + 1
        elif self._next_is("?") and not self._skip("?:"):
            raise PatternError("flags and look-arounds are not known")
        node = self._alternatives(depth + 1)
        if not self._skip(")"):
            raise PatternError("missing )")
        return node

    def _class(self) -> _Ranges:
        negated = self._skip("^")
        ranges: list[tuple[int, int]] = []
        is_first = True
        while is_first or not self._skip("]"):
            is_first = False
            if self._next_is("[:"):
                raise PatternError("POSIX classes are not known")
            low = self._class_item()
            if len(low) == 1 and self._next_is("-") and not self._next_is("-]"):
                self._skip("-")
                high = self._class_item()
                if len(high) != 1 or low[0][0] != low[0][1] or high[0][1] < low[0][0]:
                    raise PatternError("a class has a bad range")
                low = ((low[0][0], high[0][1]),)
            ranges += low
        return _all_but(ranges) if negated else tuple(ranges)

    def _class_item(self) -> _Ranges:
        char = self._take()
        return self._escape() if char == "\\" else ((ord(char), ord(char)),)

    def _escape(self) -> _Ranges:
        char = self._take()
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return _all_but(ranges) if char.isupper() else ranges
        if char in _CONTROLS:
            return ((_CONTROLS[char], _CONTROLS[char]),)
        if char == "x":
            return self._hexadecimal()
        if char.isalnum():
            raise PatternError(f"\\{char} is not known")
        return ((ord(char), ord(char)),)

    def _hexadecimal(self) -> _Ranges:
        if self._skip("{"):
            digits, end, _ = self._text[self._position :].partition("}")
            self._position += len(digits) + len(end)
        else:
            digits = self._take() + self._take()
        if not 0 < len(digits) <= 8 or not set(digits) <= set(hexdigits):
            raise PatternError("\\x has bad digits")
        number = int(digits, 16)
        if number > _LAST_CHARACTER:
            raise PatternError("there is no such character")
        return ((number, number),)


def _is_number(text: str) -> bool:
    return 0 < len(text) <= 4 and text.isascii() and text.isdigit()


class _State:
    """A place in the automaton: the characters that lead on, or an edge, or a fork."""

    __slots__ = ("edge", "following", "ranges")

    def __init__(
        self, following: list[_State], ranges: _Ranges | None = None, edge: str = ""
    ) -> None:
        self.following = following
        self.ranges = ranges
        self.edge = edge


class _Compiler:
    """Makes states of a pattern, from its end to its beginning."""

    def __init__(self) -> None:
        self._steps = 0

    def compile(self, node: _Node, following: _State) -> _State:
        """The state from which `node` leads to `following`."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise PatternError("the pattern is too large")
        if isinstance(node, _One):
            return _State([following], ranges=node.ranges)
        if isinstance(node, _Edge):
            return _State([following], edge="end" if node.is_end else "begin")
        if isinstance(node, _Sequence):
            for part in reversed(node.parts):
                following = self.compile(part, following)
            return following
        if isinstance(node, _Alternatives):
            return _State([self.compile(part, following) for part in node.parts])
        if node.most is None:
            again = _State([following])
            again.following.append(self.compile(node.part, again))
            following = again
        else:
            behind = following
            for _ in range(node.most - node.least):
                following = _State([behind, self.compile(node.part, following)])
        for _ in range(node.least):
            following = self.compile(node.part, following)
        return following


class Pattern:
    """A regular expression for whole texts. Raises PatternError if it is none."""

    def __init__(self, pattern: str) -> None:
        self._end = _State([])
        first = _Compiler().compile(_Parser(pattern).parse(), self._end)
        self._first = _reachable({first}, "begin")
        self._moves: dict[tuple[frozenset[_State], str], frozenset[_State]] = {}

    def matches(self, text: str) -> bool:
        """Does all of `text` match?"""
        states = self._first
        for char in text:
            move = states, char
            following = self._moves.get(move)
            if following is None:
                if len(self._moves) == MAX_REMEMBERED:
                    self._moves.clear()
                following = self._moves[move] = _step(states, ord(char))
            if not following:
                return False
            states = following
        edges = ["end"] if text else ["begin", "end"]
        return self._end in _reachable(states, *edges)


def _step(states: frozenset[_State], character: int) -> frozenset[_State]:
    return _reachable(
        state.following[0]
        for state in states
        if any(first <= character <= last for first, last in state.ranges or ())
    )


def _reachable(states: Iterable[_State], *edges: str) -> frozenset[_State]:
    """Where one gets without a character, at those edges of the text."""
    found = set(states)
    waiting = list(found)
    while waiting:
        state = waiting.pop()
        if state.ranges is not None or (state.edge and state.edge not in edges):
            continue
        new = [one for one in state.following if one not in found]
        found.update(new)
        waiting += new
    return frozenset(found)
