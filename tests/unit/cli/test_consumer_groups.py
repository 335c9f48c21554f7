"""`kstore consumer-groups`: which calls it refuses, and the rows it makes of what a broker says."""

from __future__ import annotations

import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupType, Node, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription, MemberAssignment, MemberDescription

from kstore.cli.group_description import member_rows, offset_rows
from kstore.cli.main import main


def member(name: str, *partitions: tuple[str, int]) -> MemberDescription:
    assigned = MemberAssignment([TopicPartition(*one) for one in partitions])
    return MemberDescription(f"{name}-id", name, "/127.0.0.1", assigned)


def group(*members: MemberDescription) -> ConsumerGroupDescription:
    return ConsumerGroupDescription(
        group_id="g",
        is_simple_consumer_group=False,
        members=list(members),
        partition_assignor="range",
        state=ConsumerGroupState.STABLE,
        coordinator=Node(1, "127.0.0.1", 9092),
        type=ConsumerGroupType.CLASSIC,
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "want exactly one of --list, --describe, --delete, --reset-offsets"),
        ("--list --describe", "want exactly one of --list, --describe, --delete"),
        ("--list --group g", "--group can't be used with --list"),
        ("--list --members", "--members can't be used with --list"),
        ("--describe", "--describe takes one of --group and --all-groups"),
        ("--describe --group g --all-groups", "--describe takes one of"),
        ("--describe --group g --members --offsets", "--describe takes at most one of"),
        ("--describe --group g --members --state", "--describe takes at most one of"),
        ("--describe --group g --state stable", "--describe does not take a value for --state"),
        ("--describe --group g --type", "--type can't be used with --describe"),
        ("--describe --group g --topic t", "--topic can't be used with --describe"),
        ("--delete", "--delete takes one of --group and --all-groups"),
        ("--delete --group g --topic t", "--topic can't be used with --delete"),
        ("--delete --group g --execute", "--execute can't be used with --delete"),
        ("--delete-offsets --group g", "--delete-offsets takes one --group and --topic"),
        ("--delete-offsets --topic t", "--delete-offsets takes one --group and --topic"),
        ("--delete-offsets --group g --group h --topic t", "--delete-offsets takes one --group"),
        ("--reset-offsets --to-latest --topic t", "--reset-offsets takes one of --group and"),
        ("--reset-offsets --group g --topic t", "--reset-offsets takes one of --to-earliest"),
        ("--reset-offsets --group g --to-latest", "--reset-offsets takes one of --all-topics"),
        (
            "--reset-offsets --group g --topic t --to-latest --to-offset 3",
            "--reset-offsets takes one of --to-earliest",
        ),
        (
            "--reset-offsets --group g --topic t --to-latest --dry-run --execute",
            "--reset-offsets takes only one of --execute and --dry-run",
        ),
        (
            "--reset-offsets --group g --topic t --dry-run --to-datetime 2026-01-31",
            "2026-01-31: want a time like",
        ),
        (
            "--reset-offsets --group g --topic t --dry-run --by-duration 5m",
            "5m: want a duration like P1DT2H30M",
        ),
        (
            "--reset-offsets --group g --topic t --dry-run --from-file no-such-file.csv",
            "no-such-file.csv: ",
        ),
        ("--list --to-offset 3", "--to-offset can't be used with --list"),
        ("--list --state busy", "no state 'busy'; there are: PreparingRebalance"),
        ("--list --type share", "no type 'share'; there are: Consumer, Classic"),
    ],
)
def test_calls_that_kafkas_tool_refuses_are_refused(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["consumer-groups", "--bootstrap-server", "127.0.0.1:1", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kstore: {error}")
    assert captured.out == ""


def test_rows_show_lag_partitions_of_nobody_and_idle_members() -> None:
    description = group(
        member("idle"), member("one", ("t", 1)), member("two", ("t", 2), ("t", 0), ("gone", 0))
    )
    committed = {
        ("t", 0): TopicPartition("t", 0, 40, leader_epoch=3),
        ("t", 1): TopicPartition("t", 1, -1001),
        ("old", 5): TopicPartition("old", 5, 7),
        ("gone", 0): TopicPartition("gone", 0, 9),
    }
    ends = {("t", 0): 100, ("t", 1): 10, ("t", 2): 0, ("old", 5): 7}
    rows = offset_rows("g", description, committed, ends)
    keys = ("topic", "partition", "current_offset", "log_end_offset", "lag", "client_id")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("gone", 0, 9, None, None, "two"),
        ("t", 0, 40, 100, 60, "two"),
        ("t", 2, None, 0, None, "two"),
        ("t", 1, None, 10, None, "one"),
        ("old", 5, 7, 7, 0, None),
        (None, None, None, None, None, "idle"),
    ]
    assert rows[1]["leader_epoch"] == 3
    assert rows[1]["consumer_id"] == "two-id"
    assert rows[1]["host"] == "/127.0.0.1"
    assert rows[4]["consumer_id"] is None


def test_rows_of_members() -> None:
    rows = member_rows("g", group(member("idle"), member("busy", ("t", 2), ("t", 0), ("a", 1))))
    assert [(row["client_id"], row["partitions"]) for row in rows] == [("busy", 3), ("idle", 0)]
    assert rows[0]["current_assignment"] == {"a": [1], "t": [0, 2]}
    assert rows[1]["current_assignment"] == {}
