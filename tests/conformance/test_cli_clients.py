"""The client commands of `kstore` against a broker process, as their users call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conformance.support.broker import BrokerProcess, kstore_command
from tests.conformance.support.commands import DEADLINE_S, Command, group_of
from tests.conftest import StartBroker


@pytest.fixture
def kstore(broker: BrokerProcess) -> Command:
    return Command(broker.bootstrap_servers)


def test_a_topic_is_created_listed_described_and_deleted(kstore: Command) -> None:
    options = ("--partitions", "6", "--replication-factor", "1")
    created = kstore.run("topics", "--create", "--topic", "cli-positions", *options)
    assert created == "Created topic cli-positions.\n"
    assert "cli-positions" in kstore.run("topics", "--list").splitlines()
    text = kstore.run("topics", "--describe", "--topic", "cli-positions").splitlines()
    assert text[0].startswith("Topic: cli-positions\tTopicId: ")
    assert "\tPartitionCount: 6\tReplicationFactor: 1\t" in text[0]
    assert [line.split("\t")[2] for line in text[1:]] == [f"Partition: {n}" for n in range(6)]
    rows = kstore.rows("topics", "--describe", "--topic", "cli-positions")
    assert rows == kstore.rows("topics", "--describe", "--topic-id", str(rows[0]["topic_id"]))
    assert [row["partition"] for row in rows] == list(range(6))
    leaders = {row["leader"] for row in rows}
    assert len(leaders) == 1
    assert all(row["replicas"] == row["isr"] == [*leaders] for row in rows)
    assert kstore.run("topics", "--delete", "--topic", "cli-positions") == ""
    gone = "kstore: topic 'cli-positions' does not exist\n"
    assert kstore.fail("topics", "--describe", "--topic", "cli-positions") == gone
    assert kstore.fail("topics", "--delete", "--topic", "cli-positions") == gone
    assert kstore.run("topics", "--delete", "--topic", "cli-positions", "--if-exists") == ""


def test_configs_of_a_new_topic_are_kept(kstore: Command) -> None:
    configs = ("--config", "retention.ms=123456", "--config", "cleanup.policy=compact")
    kstore.run("topics", "--create", "--topic", "cli-configured", *configs)
    (row,) = kstore.rows("topics", "--describe", "--topic", "cli-configured")
    assert isinstance(row["configs"], dict)
    assert row["configs"]["retention.ms"] == "123456"
    assert row["configs"]["cleanup.policy"] == "compact"
    overrides = kstore.run(
        "topics", "--describe", "--topics-with-overrides", "--topic", "cli-con.*"
    )
    assert "retention.ms=123456" in overrides
    assert "Partition:" not in overrides


def test_a_topic_that_is_there_is_an_error_unless_told_otherwise(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-twice")
    assert kstore.fail("topics", "--create", "--topic", "cli-twice").startswith("kstore: Topic ")
    assert kstore.run("topics", "--create", "--topic", "cli-twice", "--if-not-exists") == ""


def test_what_a_broker_refuses_is_one_line(kstore: Command) -> None:
    for options in (
        ["--topic", "no spaces"],
        ["--topic", "cli-refused", "--replication-factor", "3"],
        ["--topic", "cli-refused", "--config", "retention.ms=soon"],
        ["--topic", "cli-refused", "--config", "no.such.config=1"],
    ):
        error = kstore.fail("topics", "--create", *options)
        assert error.startswith("kstore: ")
        assert error.count("\n") == 1


def test_keys_values_and_headers_come_back_as_they_were_sent(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-records", "--partitions", "1")
    lines = ["h:1,i:\tk1\tfirst", "h:2\tk2\t", "\u00fc:\u00e4\t\u00f6\tgr\u00fcn", "h:\tNULL\tNULL"]
    reader = ("parse.key=true", "parse.headers=true", "null.marker=NULL")
    kstore.run(
        "console-producer",
        *("--topic", "cli-records"),
        *(word for one in reader for word in ("--reader-property", one)),
        *("--compression-codec", "--sync"),
        stdin="\n".join(lines),
    )
    asked = ("print.key=true", "print.headers=true", "print.offset=true", "null.literal=NULL")
    printed = kstore.run(
        "console-consumer",
        *("--topic", "cli-records", "--from-beginning", "--max-messages", "4"),
        *(word for one in asked for word in ("--formatter-property", one)),
    )
    assert printed.splitlines() == [f"Offset:{n}\t{line}" for n, line in enumerate(lines)]
    one = kstore.run(
        "console-consumer",
        *("--topic", "cli-records", "--partition", "0", "--offset", "2", "--max-messages", "1"),
        "--json",
    )
    row = json.loads(one)
    assert (row["key"], row["value"], row["offset"]) == ("\u00f6", "gr\u00fcn", 2)
    assert row["headers"] == [{"key": "\u00fc", "value": "\u00e4"}]


def test_a_long_stream_passes_through_in_order(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-stream", "--partitions", "1")
    text = "".join(f"line {number}\n" for number in range(50_000))
    kstore.run("console-producer", "--topic", "cli-stream", stdin=text)
    options = ("--from-beginning", "--max-messages", "50000")
    assert kstore.run("console-consumer", "--topic", "cli-stream", *options) == text


def test_a_record_that_is_refused_is_named_and_the_others_arrive(kstore: Command) -> None:
    limit = ("--config", "max.message.bytes=1000")
    kstore.run("topics", "--create", "--topic", "cli-small", "--partitions", "1", *limit)
    error = kstore.fail(
        "console-producer", "--topic", "cli-small", "--sync", stdin=f"{'x' * 5000}\n"
    )
    assert error.startswith("kstore: line 1 was not delivered: ")
    assert error.count("\n") == 1
    kstore.run("console-producer", "--topic", "cli-small", stdin="small\n")
    options = ("--from-beginning", "--timeout-ms", "1000")
    assert kstore.run("console-consumer", "--topic", "cli-small", *options) == "small\n"


def test_a_group_goes_on_where_it_stopped(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-group", "--partitions", "1")
    kstore.run("console-producer", "--topic", "cli-group", stdin="1\n2\n3\n4\n5\n")
    options = ("--topic", "cli-group", "--group", "cli-readers", "--from-beginning")
    assert kstore.run("console-consumer", *options, "--max-messages", "3") == "1\n2\n3\n"
    (row,) = kstore.rows("consumer-groups", "--describe", "--group", "cli-readers")
    assert (row["current_offset"], row["log_end_offset"], row["lag"]) == (3, 5, 2)
    assert (row["consumer_id"], row["host"], row["client_id"]) == (None, None, None)
    assert kstore.run("console-consumer", *options, "--timeout-ms", "1000") == "4\n5\n"
    (row,) = kstore.rows("consumer-groups", "--describe", "--group", "cli-readers")
    assert row["lag"] == 0
    (listed,) = [
        row
        for row in kstore.rows("consumer-groups", "--list", "--state", "--type")
        if row["group"] == "cli-readers"
    ]
    assert listed == {"group": "cli-readers", "type": "Classic", "state": "Empty"}


def test_eight_members_share_six_partitions_and_two_stay_idle(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-six", "--partitions", "6")
    with group_of(kstore.bootstrap_servers, "cli-eight", "cli-six", 8):
        rows = kstore.rows("consumer-groups", "--describe", "--group", "cli-eight")
        text = kstore.run("consumer-groups", "--describe", "--group", "cli-eight")
        members = kstore.rows("consumer-groups", "--describe", "--group", "cli-eight", "--members")
        (state,) = kstore.rows("consumer-groups", "--describe", "--group", "cli-eight", "--state")
    busy, idle = rows[:6], rows[6:]
    assert sorted((row["topic"], row["partition"]) for row in busy) == [  # type: ignore[type-var]
        ("cli-six", number) for number in range(6)
    ]
    assert [(row["topic"], row["partition"], row["lag"]) for row in idle] == [(None,) * 3] * 2
    assert {row["client_id"] for row in rows} == {f"c{number}" for number in range(8)}
    assert len({row["consumer_id"] for row in rows}) == 8
    assert all(row["log_end_offset"] == 0 for row in busy)
    lines = text.splitlines()
    assert lines[1].split() == [
        *("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"),
        *("CONSUMER-ID", "HOST", "CLIENT-ID"),
    ]
    assert [len(line.split()) for line in lines[2:]] == [9] * 8
    assert sorted(row["partitions"] for row in members) == [0, 0, 1, 1, 1, 1, 1, 1]  # type: ignore[type-var]
    assert (state["state"], state["members"], state["assignment_strategy"]) == (
        "Stable",
        8,
        "range",
    )


def test_a_group_that_is_not_there_is_an_error(kstore: Command) -> None:
    error = kstore.fail("consumer-groups", "--describe", "--group", "cli-nobody")
    assert error == "kstore: consumer group 'cli-nobody' does not exist\n"


def test_a_record_is_printed_as_soon_as_it_was_sent(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-live", "--partitions", "1")
    producing = kstore.started("console-producer", "--topic", "cli-live")
    consuming = kstore.started("console-consumer", "--topic", "cli-live", "--from-beginning")
    with producing as producer, consuming as consumer:
        assert producer.stdin is not None
        assert consumer.stdout is not None
        for text in ("one\n", "two\n"):
            producer.stdin.write(text)
            producer.stdin.flush()
            assert consumer.stdout.readline() == text
        assert producer.communicate(timeout=DEADLINE_S) == ("", "")
        assert producer.returncode == 0
        consumer.send_signal(signal.SIGINT)
        assert consumer.communicate(timeout=DEADLINE_S) == ("", "Processed a total of 2 messages\n")
        assert consumer.returncode == 0


def test_a_consumer_ends_well_when_its_reader_does(kstore: Command) -> None:
    kstore.run("topics", "--create", "--topic", "cli-piped", "--partitions", "1")
    kstore.run("console-producer", "--topic", "cli-piped", stdin="first\nsecond\n")
    with kstore.started("console-consumer", "--topic", "cli-piped", "--from-beginning") as consumer:
        assert consumer.stdout is not None
        assert consumer.stderr is not None
        assert consumer.stdout.readline() == "first\n"
        consumer.stdout.close()
        kstore.run("console-producer", "--topic", "cli-piped", stdin="third\n")
        assert consumer.wait(DEADLINE_S) == 0
        assert consumer.stderr.readline() == "Unable to write to standard out, closing consumer.\n"


def test_a_consumer_outlives_a_restart_of_its_broker(start_broker: StartBroker) -> None:
    broker = start_broker()
    kstore = Command(broker.bootstrap_servers)
    kstore.run("topics", "--create", "--topic", "cli-kept", "--partitions", "1")
    with kstore.started("console-consumer", "--topic", "cli-kept", "--from-beginning") as consumer:
        assert consumer.stdout is not None
        for text in ("before\n", "after\n"):
            kstore.run("console-producer", "--topic", "cli-kept", stdin=text)
            assert consumer.stdout.readline() == text
            broker.restart()
        consumer.send_signal(signal.SIGTERM)
        assert consumer.wait(DEADLINE_S) == 0


def test_a_settings_file_reaches_the_client(kstore: Command, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("client.id=cli-from-file\ngroup.id=cli-file-group\nno.such.setting=1\n")
    kstore.run("topics", "--create", "--topic", "cli-file", "--partitions", "1")
    kstore.run("console-producer", "--topic", "cli-file", stdin="1\n")
    options = ("--topic", "cli-file", "--from-beginning", "--command-config", str(file))
    assert kstore.run("console-consumer", *options, "--max-messages", "1") == "1\n"
    groups = kstore.run("consumer-groups", "--list", "--command-config", str(file))
    assert "cli-file-group" in groups.splitlines()


def test_output_for_a_pipe_is_never_coloured_or_wrapped(kstore: Command) -> None:
    name = "cli-" + "long" * 60
    kstore.run("topics", "--create", "--topic", name)
    environment = {**os.environ, "COLUMNS": "40", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(
        [
            *(*kstore_command(), "topics", "--bootstrap-server", kstore.bootstrap_servers),
            *("--describe", "--topic", name),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[0].startswith(f"Topic: {name}\tTopicId: ")
    assert "\x1b" not in done.stdout
