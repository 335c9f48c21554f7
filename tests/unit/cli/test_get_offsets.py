"""Which partitions `kstore get-offsets` asks for, and which calls it refuses."""

from __future__ import annotations

import pytest

from kstore.cli.get_offsets import partition_filter
from kstore.cli.main import main

PARTITIONS = [(topic, index) for topic in ("a", "ab", "b") for index in range(4)]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ((None, None, None), PARTITIONS),
        (("a", None, None), [("a", n) for n in range(4)]),
        (("a.*", "1,3", None), [("a", 1), ("a", 3), ("ab", 1), ("ab", 3)]),
        (("b,ab", "0", None), [("ab", 0), ("b", 0)]),
        ((None, None, "a:1"), [("a", 1)]),
        ((None, None, "a:1-3,b"), [("a", 1), ("a", 2), *(("b", n) for n in range(4))]),
        ((None, None, ":3-"), [("a", 3), ("ab", 3), ("b", 3)]),
        ((None, None, "ab:-2"), [("ab", 0), ("ab", 1)]),
    ],
)
def test_partitions_are_chosen_as_kafkas_tool_does(
    options: tuple[str | None, str | None, str | None], kept: list[tuple[str, int]]
) -> None:
    keep = partition_filter(*options)
    assert [one for one in PARTITIONS if keep(*one)] == kept


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--time soon", "--time soon: want milliseconds, or one of latest, earliest"),
        ("--time -9", "--time -9: want milliseconds"),
        (f"--time {2**63}", "--time 9223372036854775808: want milliseconds"),
        ("--partitions a", "--partitions a: want numbers with commas"),
        ("--topic-partitions a:b", "--topic-partitions a:b: want TOPIC"),
        ("--topic-partitions a --topic a", "--topic-partitions can't be used with --topic"),
        ("--topic [", "--topic [ is no regular expression"),
    ],
)
def test_wrong_calls_are_refused(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["get-offsets", "--bootstrap-server", "127.0.0.1:1", *words.split()]) == 2
    assert capsys.readouterr().err.startswith(f"kstore: {error}")
