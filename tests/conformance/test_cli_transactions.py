"""`kstore transactions`: what it tells, what it ends, and what it refuses in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import KafkaException

from kstore.cli.main import main
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.transactions import begin, leave_hanging, transactional_producer
from tests.conformance.support.verbs import create_topic, is_kafka
from tests.conftest import StartBroker


class Transactions:
    """`kstore transactions` in this process, against one broker."""

    def __init__(self, broker: BrokerProcess, capsys: pytest.CaptureFixture[str]) -> None:
        self._broker = broker
        self._capsys = capsys

    def run(self, *words: str, status: int = 0) -> str:
        """What a call printed that must end with this status; of one that failed, its stderr."""
        servers = ("--bootstrap-server", self._broker.bootstrap_servers)
        assert main(["transactions", *servers, *words]) == status
        printed = self._capsys.readouterr()
        assert not (printed.out if status else printed.err)
        return printed.err if status else printed.out

    def rows(self, *words: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.run(*words, "--json"))
        return rows


@pytest.fixture
def transactions(broker: BrokerProcess, capsys: pytest.CaptureFixture[str]) -> Transactions:
    return Transactions(broker, capsys)


def test_an_open_transaction_is_told_and_ended(
    broker: BrokerProcess, client: RawClient, transactions: Transactions
) -> None:
    create_topic(client, "cli-open", partitions=2)
    producer = transactional_producer(broker, "cli-open")
    begin(producer, ("cli-open", 0), ("cli-open", 1))
    (row,) = transactions.rows("list", "--transactional-id-pattern", "cli-o.*")
    assert (row["transactional_id"], row["transaction_state"]) == ("cli-open", "Ongoing")
    (row,) = transactions.rows("describe", "--transactional-id", "cli-open")
    assert row["topic_partitions"] == ["cli-open-0", "cli-open-1"]
    place = ("--topic", "cli-open", "--partition", "1")
    (row,) = transactions.rows("describe-producers", *place)
    assert (row["last_sequence"], row["current_transaction_start_offset"]) == (0, 0)
    ended = transactions.run("force-terminate", "--transactional-id", "cli-open")
    assert ended == ""
    with pytest.raises(KafkaException):
        producer.commit_transaction(10)
    (row,) = transactions.rows("describe-producers", *place)
    assert row["current_transaction_start_offset"] is None


def test_what_hangs_is_found_and_aborted(
    start_broker: StartBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = start_broker({"transaction.state.log.num.partitions": 1})
    if is_kafka(broker):
        pytest.skip("Kafka's data directory is not opened here")
    with RawClient(broker.bootstrap_servers) as client:
        create_topic(client, "hangs")
    leave_hanging(broker, "hangs", producer_id=77)
    transactions = Transactions(broker, capsys)
    (row,) = transactions.rows("find-hanging", "--broker-id", "1")
    assert (row["topic"], row["producer_id"], row["start_offset"]) == ("hangs", 77, 0)
    assert row["duration_min"] == 60
    older = ("--topic", "hangs", "--max-transaction-timeout", "61")
    assert transactions.rows("find-hanging", *older) == []
    place = ("--topic", "hangs", "--partition", "0", "--start-offset", "0")
    assert transactions.run("abort", *place) == ""
    assert transactions.rows("find-hanging", "--topic", "hangs") == []
    assert "no open transaction begins at offset 0" in transactions.run("abort", *place, status=1)


REFUSED = {
    ("find-hanging",): "find-hanging wants --topic or --broker-id",
    ("find-hanging", "--broker-id", "1", "--partition", "0"): "--partition wants --topic",
    ("abort", "--topic", "t", "--partition", "0"): "abort wants --start-offset, or --producer-id",
    ("describe",): "Missing option '--transactional-id'",
    ("lists",): "no command 'lists' of transactions; there are: list, describe",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_wrong_call_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transactions", "--bootstrap-server", "127.0.0.1:1", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"kstore: {REFUSED[words]}")


def test_what_there_is_not(transactions: Transactions) -> None:
    unknown = transactions.run("describe", "--transactional-id", "cli-nobody", status=1)
    assert unknown == "kstore: no coordinator knows the transactional id 'cli-nobody'\n"
    place = ("--topic", "cli-nowhere", "--partition", "0")
    missing = transactions.run("describe-producers", *place, status=1)
    assert missing == "kstore: topic 'cli-nowhere': UNKNOWN_TOPIC_OR_PARTITION\n"
