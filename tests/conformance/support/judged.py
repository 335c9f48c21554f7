"""The same call of Kafka's tool and of `kstore`, and what both said."""

from __future__ import annotations

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore


def both(
    broker: BrokerProcess, tools: KafkaTools, name: str, *options: str, stdin: str = ""
) -> tuple[str, str]:
    """What Kafka's tool printed, and what ours did."""
    words = ("--bootstrap-server", broker.bootstrap_servers, *options)
    theirs = tools.run(name, *words, stdin=stdin).stdout
    return theirs, run_kstore(name, *words, stdin=stdin)


def facts(text: str) -> list[list[str]]:
    """The words of each line that has some."""
    return [line.split() for line in text.splitlines() if line.strip()]


def read_three_of_five(broker: BrokerProcess, topic: str, group: str) -> None:
    """A topic with five records in one of two partitions, and a group that has read three."""
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    run_kstore("topics", *servers, "--create", "--topic", topic, "--partitions", "2")
    keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=,")
    lines = "k,1\nk,2\nk,3\nk,4\nk,5\n"
    run_kstore("console-producer", *servers, "--topic", topic, *keyed, stdin=lines)
    reading = ("--topic", topic, "--group", group, "--from-beginning", "--max-messages", "3")
    run_kstore("console-consumer", *servers, *reading)
