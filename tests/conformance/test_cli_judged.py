"""The same call of Kafka's tool and of `kstore` against the same broker says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.judged import both, facts, read_three_of_five

pytestmark = pytest.mark.jdk


def test_topics(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    create = ("topics", "--bootstrap-server", broker.bootstrap_servers, "--create")
    configs = ("--config", "retention.ms=100000", "--config", "cleanup.policy=compact,delete")
    run_kstore(*create, "--topic", "judged-a", "--partitions", "3", *configs)
    kafka_tools.run(*create, "--topic", "judged-b")
    theirs, ours = both(broker, kafka_tools, "topics", "--list", "--topic", "judged.*")
    assert ours == theirs
    for options in (
        ("--topic", "judged-a"),
        ("--topic", "judged-b"),
        ("--topic", "judged-a", "--topics-with-overrides"),
        ("--topic", "judged-a", "--under-replicated-partitions"),
    ):
        theirs, ours = both(broker, kafka_tools, "topics", "--describe", *options)
        # Ours can't ask for eligible leader replicas; Kafka's says N/A where the broker can't tell.
        known = re.sub(r"(Elr|LastKnownElr): [^\t\n]*", r"\1: N/A", theirs)
        assert ours.splitlines() == known.splitlines()


def test_records_and_their_partitions(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    keys = [f"key-{number},value {number}" for number in range(40)]
    reader = ("--property", "parse.key=true", "--property", "key.separator=,")
    for topic, run in (("judged-theirs", kafka_tools.run), ("judged-ours", run_kstore)):
        run_kstore("topics", *servers, "--create", "--topic", topic, "--partitions", "5")
        run("console-producer", *servers, "--topic", topic, *reader, stdin="\n".join(keys) + "\n")
    fields = ("print.key", "print.partition", "print.offset", "print.headers", "key.separator=|")
    asked = [field if "=" in field else f"{field}=true" for field in fields]
    options = [word for one in asked for word in ("--formatter-property", one)]
    printed = []
    for topic in ("judged-theirs", "judged-ours"):
        reading = ("--topic", topic, "--from-beginning", "--max-messages", "40", *options)
        theirs, ours = both(broker, kafka_tools, "console-consumer", *reading)
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
        printed.append(sorted(ours.splitlines()))
    # Keys go to the partitions that Java's producer chooses.
    assert printed[0] == printed[1]


def test_consumer_groups(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    run_kstore("topics", *servers, "--create", "--topic", "judged-read", "--partitions", "1")
    run_kstore("console-producer", *servers, "--topic", "judged-read", stdin="1\n2\n3\n")
    reading = ("--topic", "judged-read", "--group", "judged", "--from-beginning")
    run_kstore("console-consumer", *servers, *reading, "--max-messages", "2")
    for options in (
        ("--list",),
        ("--list", "--state", "--type"),
        ("--describe", "--group", "judged"),
        ("--describe", "--group", "judged", "--verbose"),
        ("--describe", "--group", "judged", "--members"),
        ("--describe", "--group", "judged", "--state"),
        ("--describe", "--group", "judged", "--state", "--verbose"),
    ):
        theirs, ours = both(broker, kafka_tools, "consumer-groups", *options)
        assert sorted(facts(ours)) == sorted(facts(theirs)), options


def test_offsets_are_reset_to_the_same(
    broker: BrokerProcess, kafka_tools: KafkaTools, tmp_path: Path
) -> None:
    read_three_of_five(broker, "judged-reset", "judged-resets")
    plan = tmp_path / "plan.csv"
    plan.write_text("judged-reset,0,1\njudged-reset,1,4000\n")
    group = ("--reset-offsets", "--group", "judged-resets", "--dry-run")
    for options in (
        ("--topic", "judged-reset:0", "--to-datetime", "2020-01-01T00:00:00.000"),
        ("--topic", "judged-reset", "--to-latest"),
        ("--all-topics", "--shift-by", "-2", "--export"),
        ("--from-file", str(plan)),
    ):
        theirs, ours = both(broker, kafka_tools, "consumer-groups", *group, *options)
        assert sorted(facts(ours)) == sorted(facts(theirs)), options


def test_offsets_and_groups_are_deleted_with_the_same_words(
    broker: BrokerProcess, kafka_tools: KafkaTools
) -> None:
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    printed: dict[str, list[str]] = {}
    for who, run in (("theirs", lambda *w: kafka_tools.run(*w).stdout), ("ours", run_kstore)):
        read_three_of_five(broker, f"judged-gone-{who}", f"judged-gone-{who}")
        group = ("--group", f"judged-gone-{who}")
        words = ("--delete-offsets", "--topic", f"judged-gone-{who}", *group)
        texts = [
            run("consumer-groups", *servers, *words),
            run("consumer-groups", *servers, "--delete", *group),
        ]
        printed[who] = [text.replace(f"-{who}", "") for text in texts]
    assert [facts(text) for text in printed["ours"]] == [facts(text) for text in printed["theirs"]]
