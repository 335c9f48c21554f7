"""Regular expressions of clients: Python's own are the judge, and hostile ones take no time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kstore.coordinator.patterns import Pattern, PatternError

ATOMS = [
    "a",
    "b",
    ".",
    "[ab]",
    "[^a]",
    r"\d",
    r"\W",
    "[a-c0-9-]",
    r"\.",
    "(a|b)",
    "(?:ab|)",
    "[]x]",
]
REPETITIONS = ["", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{2,3}?"]


def sequences(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeated = st.builds(
        lambda part, repetition: f"(?:{part}){repetition}", parts, st.sampled_from(REPETITIONS)
    )
    alternatives = st.lists(repeated, min_size=1, max_size=3).map("|".join)
    return st.one_of(st.lists(repeated, max_size=3).map("".join), alternatives)


PATTERNS = st.recursive(st.sampled_from(ATOMS), sequences, max_leaves=6)


@given(PATTERNS, st.lists(st.text("ab1.-\n]x", max_size=6), min_size=1, max_size=5))
def test_python_agrees(pattern: str, texts: list[str]) -> None:
    ours = Pattern(pattern)
    theirs = re.compile(pattern, re.ASCII)
    for text in texts:
        assert ours.matches(text) == bool(theirs.fullmatch(text)), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("", [""], ["a"]),
        ("^app-.*$", ["app-", "app-1"], ["my-app-1", "app-\n"]),
        (r"\Aa\z|b$|^c", ["a", "b", "c"], ["ab", ""]),
        ("a$b", [], ["ab", "a"]),
        ("$^", [""], ["a"]),
        ("(?P<name>é+)", ["é", "éé"], ["e"]),
        (r"\x41\x{1F600}", ["A\U0001f600"], ["A"]),
        ("a{,2}", ["a{,2}"], ["a", "aa"]),
        ("a{1000}", ["a" * 1000], ["a" * 999]),
        (r"[\d\-x-z]+", ["1-y"], ["w"]),
        (r"[^\D]", ["7"], ["x"]),
        (r"\S\s", ["a ", "a\t"], ["  ", "aa"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = Pattern(pattern)
    assert [text for text in (*matching, *others) if compiled.matches(text)] == matching


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(",
            ")",
            "(a",
            "a)",
            "[",
            "[a",
            "[z-a]",
            "[a-\\d]",
            "*",
            "a|*",
            "a**",
            "a{2}{3}",
            "a+{2}",
        ),
        *("\\", r"\x", r"\xg1", r"\x{110000}", r"\x{}", "a{2,1}", "a{1001}", "(?P<1>a)", "(?P<a"),
        *("(?i)a", "(?=a)", "(?<!a)", r"(a)\1", r"\bA", r"\pL", "[[:alpha:]]"),
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(((){1000}){1000}){1000}", "(" * 200])
def test_a_pattern_that_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(.*)*(.*)*b", "a*" * 50 + "b"])
def test_a_hostile_pattern_takes_no_longer_than_others(pattern: str) -> None:
    assert not Pattern(pattern).matches("a" * 5_000)


def test_more_moves_than_are_remembered() -> None:
    compiled = Pattern(".*x")
    text = "".join(chr(0x4E00 + number) for number in range(2_500))
    assert compiled.matches(text + "x")
    assert not compiled.matches(text)
