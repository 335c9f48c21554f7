"""`kstore topics`: which calls it refuses, and the lines that Kafka's tool would print."""

from __future__ import annotations

from collections.abc import Set

import pytest

from kstore.cli.errors import CallError
from kstore.cli.main import main
from kstore.cli.topic_description import Partition, Topic, partition_filter, plain_lines
from kstore.cli.topics import TopicOptions, parse_replica_assignment, parse_topic_configs

TOPIC = Topic(
    name="vehicle-positions",
    topic_id="UDmVi9wEQBiNzOJvQIQxaA",
    partitions=[
        Partition(index=0, leader=1, replicas=[1, 2, 3], isr=[1, 2, 3]),
        Partition(index=1, leader=2, replicas=[2, 3, 1], isr=[2, 3]),
        Partition(index=2, leader=None, replicas=[3, 1, 2], isr=[3]),
    ],
    configs={"min.insync.replicas": "2", "retention.ms": "1000"},
    min_isr=2,
)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "want exactly one of --list, --describe, --create, --alter, --delete"),
        ("--list --describe", "want exactly one of"),
        ("--create", "--create needs --topic"),
        ("--delete", "--delete needs --topic"),
        ("--alter --topic t", "--alter needs --partitions"),
        ("--alter --partitions 3", "--alter needs --topic"),
        ("--alter --topic t --partitions 0", "the partitions must be between 1 and"),
        ("--alter --topic t --partitions 2 --config a=b", "--config can't be used with --alter"),
        ("--list --partitions 3", "--partitions can't be used with --list"),
        ("--describe --config a=b", "--config can't be used with --describe"),
        ("--delete --topic t --if-not-exists", "--if-not-exists can't be used with --delete"),
        ("--create --topic t --if-exists", "--if-exists can't be used with --create"),
        ("--create --topic t --exclude-internal", "--exclude-internal can't be used with"),
        ("--list --topics-with-overrides", "--topics-with-overrides can't be used with --list"),
        ("--list --unavailable-partitions", "the partition filters can't be used with --list"),
        ("--describe --at-min-isr-partitions --under-min-isr-partitions", "want only one of"),
        ("--describe --at-min-isr-partitions --topics-with-overrides", "want only one of"),
        ("--describe --if-exists", "--if-exists needs --topic or --topic-id"),
        ("--create --topic t --partitions 0", "the partitions must be between 1 and"),
        ("--create --topic t --replication-factor 0", "the replication factor must be between"),
        ("--create --topic t --replication-factor 40000", "the replication factor must be between"),
        ("--create --topic t --replica-assignment 1 --partitions 1", "--replica-assignment can't"),
        ("--list --command-config /nonsense/file", "/nonsense/file: "),
    ],
)
def test_calls_that_kafkas_tool_refuses_are_refused(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topics", "--bootstrap-server", "127.0.0.1:1", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kstore: {error}")
    assert captured.out == ""


def test_replica_assignments() -> None:
    assert parse_replica_assignment("1:2,2:3 , 3:1") == [[1, 2], [2, 3], [3, 1]]
    for wrong in ("1:1", "1:2,3", "a", ""):
        with pytest.raises(CallError):
            parse_replica_assignment(wrong)


def test_topic_configs() -> None:
    assert parse_topic_configs(["a = b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}
    with pytest.raises(CallError):
        parse_topic_configs(["a"])


def lines(options: TopicOptions, live: Set[int] = frozenset({1, 2, 3})) -> list[str]:
    return plain_lines([TOPIC], partition_filter(options, live), options)


def test_a_description_is_kafkas_line_by_line() -> None:
    assert lines(TopicOptions()) == [
        (
            "Topic: vehicle-positions\tTopicId: UDmVi9wEQBiNzOJvQIQxaA\tPartitionCount: 3"
            "\tReplicationFactor: 3\tConfigs: min.insync.replicas=2,retention.ms=1000"
        ),
        (
            "\tTopic: vehicle-positions\tPartition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 1,2,3"
            "\tElr: N/A\tLastKnownElr: N/A"
        ),
        (
            "\tTopic: vehicle-positions\tPartition: 1\tLeader: 2\tReplicas: 2,3,1\tIsr: 2,3"
            "\tElr: N/A\tLastKnownElr: N/A"
        ),
        (
            "\tTopic: vehicle-positions\tPartition: 2\tLeader: none\tReplicas: 3,1,2\tIsr: 3"
            "\tElr: N/A\tLastKnownElr: N/A"
        ),
    ]


def test_overrides_are_shown_without_partitions() -> None:
    assert len(lines(TopicOptions(topics_with_overrides=True))) == 1


@pytest.mark.parametrize(
    ("options", "live", "partitions"),
    [
        (TopicOptions(under_replicated=True), {1, 2, 3}, [1, 2]),
        (TopicOptions(unavailable=True), {1, 2, 3}, [2]),
        (TopicOptions(unavailable=True), {2, 3}, [0, 2]),
        (TopicOptions(under_min_isr=True), {1, 2, 3}, [2]),
        (TopicOptions(at_min_isr=True), {1, 2, 3}, [1]),
    ],
)
def test_partitions_are_chosen_by_their_replicas(
    options: TopicOptions, live: Set[int], partitions: list[int]
) -> None:
    found = lines(options, live)
    assert [int(line.split("Partition: ")[1].split("\t")[0]) for line in found] == partitions
