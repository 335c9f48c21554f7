"""Offsets in CSV, and partitions in words."""

from __future__ import annotations

import pytest

from kstore.cli.errors import CallError
from kstore.cli.offset_plan import parse_plan, parse_topic, plan_lines

PLAN = {("t", 1): 20, ("t", 0): 10, ("a,b", 0): 3}


def test_topics_and_partitions() -> None:
    assert parse_topic("t") == ("t", None)
    assert parse_topic("t:0,2") == ("t", [0, 2])
    for text in ("t:", "t:a", ":0", "t:-1"):
        with pytest.raises(CallError):
            parse_topic(text)


def test_what_is_written_is_read_again() -> None:
    one = plan_lines({"g": PLAN}, with_group=False)
    assert one == '"a,b",0,3\nt,0,10\nt,1,20\n'
    assert parse_plan(one.splitlines(), ["g"]) == {"g": PLAN}
    two = plan_lines({"g": PLAN, "h": {("t", 0): 5}}, with_group=True)
    assert two.splitlines()[-1] == "h,t,0,5"
    assert parse_plan(two.splitlines(), ["g", "h"]) == {"g": PLAN, "h": {("t", 0): 5}}
    assert parse_plan([*two.splitlines(), ""], ["g"])["h"] == {("t", 0): 5}


@pytest.mark.parametrize("line", ["t,0", "t,0,1", "g,t,0,x", "g,t,x,0", "g,t,0,1,2", '"g,t,0,1'])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(CallError):
        parse_plan(["g,t,0,1", line], ["g", "h"])
