"""Offsets to commit as Kafka's tools write and read them in CSV, and partitions in `--topic`.

A plan for one group has lines `topic,partition,offset`; one for several has `group,` before that.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from kstore.cli.errors import CallError

__all__ = ["Plan", "parse_plan", "parse_topic", "plan_lines"]

Partition = tuple[str, int]
Plan = Mapping[Partition, int]


def parse_topic(text: str) -> tuple[str, list[int] | None]:
    """The topic of `t:0,1` and its partitions; `None` for `t`, which means all of them."""
    topic, colon, numbers = text.partition(":")
    if not colon:
        return topic, None
    try:
        partitions = [int(number) for number in numbers.split(",")]
    except ValueError:
        raise CallError(f"--topic {text}: want partitions like {topic}:0,1,2") from None
    if not topic or min(partitions) < 0:
        raise CallError(f"--topic {text}: want partitions like topic:0,1,2")
    return topic, partitions


def plan_lines(plans: Mapping[str, Plan], *, with_group: bool) -> str:
    """The CSV of the plans of some groups."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for group, plan in plans.items():
        for (topic, partition), offset in sorted(plan.items()):
            writer.writerow([*([group] if with_group else []), topic, partition, offset])
    return text.getvalue()


def parse_plan(lines: Iterable[str], groups: Sequence[str]) -> dict[str, dict[Partition, int]]:
    """The plan of each group in a CSV; lines without a group are those of the only group asked for.

    Raises `CallError`, which names the line.
    """
    plans: dict[str, dict[Partition, int]] = {}
    try:
        for number, row in enumerate(csv.reader(lines, strict=True), 1):
            if not row:
                continue
            if len(row) == 3 and len(groups) == 1:
                row = [groups[0], *row]
            if len(row) != 4:
                raise CallError(f"line {number}: want [group,]topic,partition,offset")
            group, topic, partition, offset = row
            try:
                plans.setdefault(group, {})[(topic, int(partition))] = int(offset)
            except ValueError:
                raise CallError(f"line {number}: want numbers as partition and offset") from None
    except csv.Error as error:
        raise CallError(f"not CSV: {error}") from None
    return plans
