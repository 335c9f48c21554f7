"""`kstore consumer-groups` moves and deletes what groups have committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.commands import Command, group_of


@pytest.fixture
def kstore(broker: BrokerProcess) -> Command:
    return Command(broker.bootstrap_servers)


def offsets(kstore: Command, group: str) -> dict[tuple[object, object], object]:
    """What a group has committed."""
    rows = kstore.rows("consumer-groups", "--describe", "--group", group)
    return {(row["topic"], row["partition"]): row["current_offset"] for row in rows}


def group_at(kstore: Command, group: str, topic: str) -> None:
    """A topic with ten records in partition 0 and none in 1, and a group that has read four."""
    kstore.run("topics", "--create", "--topic", topic, "--partitions", "2")
    lines = "".join(f"k,{number}\n" for number in range(10))
    keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=,")
    kstore.run("console-producer", "--topic", topic, *keyed, stdin=lines)
    reading = ("--topic", topic, "--from-beginning", "--max-messages", "4", "--group", group)
    kstore.run("console-consumer", *reading)


def test_offsets_are_reset_in_every_way(kstore: Command, tmp_path: Path) -> None:
    group_at(kstore, "reset", "cli-reset")
    (full,) = [one[1] for one, offset in offsets(kstore, "reset").items() if offset == 4]
    other = 1 - int(str(full))

    def reset(*options: str) -> dict[object, object]:
        words = ("--reset-offsets", "--group", "reset", *options)
        return {
            row["partition"]: row["new_offset"] for row in kstore.rows("consumer-groups", *words)
        }

    topic = ("--topic", "cli-reset", "--dry-run")
    assert reset(*topic, "--to-earliest") == {full: 0, other: 0}
    assert reset(*topic, "--to-latest") == {full: 10, other: 0}
    assert reset(*topic, "--to-offset", "7") == {full: 7, other: 0}
    assert reset("--all-topics", "--dry-run", "--shift-by", "-3") == {full: 1}
    assert reset("--all-topics", "--dry-run", "--shift-by", "100") == {full: 10}
    assert reset(*topic, "--to-current") == {full: 4, other: 0}
    assert reset(*topic, "--by-duration", "P1D") == {full: 0, other: 0}
    assert reset(*topic, "--by-duration", "PT0S") == {full: 10, other: 0}
    assert reset(*topic, "--to-datetime", "2020-01-01T00:00:00.000") == {full: 0, other: 0}
    assert reset("--topic", f"cli-reset:{full}", "--dry-run", "--to-offset", "2") == {full: 2}
    assert offsets(kstore, "reset")[("cli-reset", full)] == 4
    assert reset("--all-topics", "--execute", "--to-offset", "6") == {full: 6}
    assert offsets(kstore, "reset")[("cli-reset", full)] == 6
    file = tmp_path / "plan.csv"
    words = ("--reset-offsets", "--group", "reset", "--all-topics", "--dry-run", "--to-current")
    file.write_text(kstore.run("consumer-groups", *words, "--export"))
    assert f"cli-reset,{full},6\n" in file.read_text()
    file.write_text(f"cli-reset,{full},9\n")
    assert reset("--from-file", str(file), "--execute") == {full: 9}
    assert offsets(kstore, "reset")[("cli-reset", full)] == 9


def test_a_plan_of_several_groups_is_read_again(kstore: Command, tmp_path: Path) -> None:
    for group in ("many-a", "many-b"):
        group_at(kstore, group, f"cli-{group}")
    groups = ("--group", "many-a", "--group", "many-b")
    reset = ("--reset-offsets", *groups)
    scope = ("--all-topics", "--to-earliest", "--dry-run", "--export")
    plan = kstore.run("consumer-groups", *reset, *scope)
    assert [line.split(",")[::3] for line in plan.splitlines()] == [
        ["many-a", "0"],
        ["many-b", "0"],
    ]
    file = tmp_path / "plan.csv"
    file.write_text(plan)
    kstore.run("consumer-groups", *reset, "--from-file", str(file), "--execute")
    for group in ("many-a", "many-b"):
        assert set(offsets(kstore, group).values()) == {0}


def test_a_group_with_members_is_left_alone(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-busy", "--partitions", "1")
    busy = ("--group", "busy")
    with group_of(kstore.bootstrap_servers, "busy", "cli-busy", 1):
        reset = ("--reset-offsets", "--topic", "cli-busy", "--to-latest", "--execute", "--export")
        error = kstore.fail("consumer-groups", *reset, *busy)
        assert error.startswith("kstore: offsets can only be reset if the group 'busy' is inactive")
        error = kstore.fail("consumer-groups", "--delete", *busy)
        assert error.startswith("kstore: group 'busy' could not be deleted: ")
        done = kstore.end("consumer-groups", "--delete-offsets", "--topic", "cli-busy", *busy)
        assert done.returncode == 1
        assert "Error: GROUP_SUBSCRIBED_TO_TOPIC" in done.stdout


def test_offsets_and_groups_are_deleted(kstore: Command) -> None:
    group_at(kstore, "gone", "cli-gone")
    words = ("--delete-offsets", "--group", "gone", "--topic", "cli-gone:0")
    rows = kstore.rows("consumer-groups", *words)
    assert rows == [{"topic": "cli-gone", "partition": 0, "status": "Successful"}]
    assert ("cli-gone", 0) not in offsets(kstore, "gone")
    text = kstore.run("consumer-groups", "--delete", "--group", "gone")
    assert text == "Deletion of requested consumer groups ('gone') was successful.\n"
    assert "gone" not in kstore.run("consumer-groups", "--list").splitlines()
    error = kstore.fail("consumer-groups", "--delete", "--group", "gone")
    assert error.startswith("kstore: group 'gone' could not be deleted: ")


def test_partitions_that_are_not_there_are_named(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-few", "--partitions", "1")
    reset = ("--reset-offsets", "--group", "nobody", "--to-latest", "--dry-run")
    error = kstore.fail("consumer-groups", *reset, "--topic", "cli-few:0,3")
    assert error == 'kstore: the partitions "cli-few-3" do not exist\n'
    error = kstore.fail("consumer-groups", *reset, "--topic", "cli-nowhere")
    assert error == "kstore: topic 'cli-nowhere' does not exist\n"
