"""`kstore transactions` says and does what Kafka's kafka-transactions does, on the same broker."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.judged import both, facts
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.transactions import begin, leave_hanging, transactional_producer
from tests.conformance.support.verbs import create_topic, is_kafka
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

DURATION, PLACES = 7, 8  # columns of `describe`


def test_what_is_told(broker: BrokerProcess, client: RawClient, kafka_tools: KafkaTools) -> None:
    create_topic(client, "judged-txn", partitions=2)
    done, open_ = (transactional_producer(broker, name) for name in ("judged-done", "judged-open"))
    begin(done, ("judged-txn", 0), ("judged-txn", 1))
    done.commit_transaction(30)
    begin(open_, ("judged-txn", 0), ("judged-txn", 1))
    for options in (
        ("list",),
        ("list", "--transactional-id-pattern", "judged-o.*"),
        ("list", "--duration-filter", "3600000"),
        ("describe-producers", "--topic", "judged-txn", "--partition", "0"),
        ("describe-producers", "--topic", "judged-txn", "--partition", "1", "--broker-id", "1"),
        ("find-hanging", "--broker-id", "1"),
        ("find-hanging", "--topic", "judged-txn", "--max-transaction-timeout", "0"),
    ):
        theirs, ours = both(broker, kafka_tools, "transactions", *options)
        assert sorted(facts(ours)) == sorted(facts(theirs)), options
    for name in ("judged-done", "judged-open"):
        described = ("describe", "--transactional-id", name)
        told = [facts(text) for text in both(broker, kafka_tools, "transactions", *described)]
        for _, row in told:
            row[DURATION] = "None" if row[DURATION] == "None" else "some"
            row[PLACES:] = sorted(",".join(row[PLACES:]).split(","))
        assert told[0] == told[1]
    open_.abort_transaction(30)


def test_a_transaction_is_ended_by_force(
    broker: BrokerProcess, client: RawClient, kafka_tools: KafkaTools
) -> None:
    create_topic(client, "judged-forced", partitions=2)
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    told = []
    for name, run in (("theirs", kafka_tools.run), ("ours", run_kstore)):
        producer = transactional_producer(broker, f"judged-{name}")
        begin(producer, ("judged-forced", 0), ("judged-forced", 1))
        command = ("forceTerminateTransaction", "--transactionalId", f"judged-{name}")
        run("transactions", *servers, *command)
        with pytest.raises(KafkaException):
            producer.commit_transaction(10)
        described = ("describe", "--transactional-id", f"judged-{name}")
        _, row = facts(run_kstore("transactions", *servers, *described))
        told.append([row[index] for index in (0, 3, 4, 6)])
    assert told[0] == told[1]


def test_what_hangs_is_found_and_aborted(
    start_broker: StartBroker, kafka_tools: KafkaTools
) -> None:
    broker = start_broker({"transaction.state.log.num.partitions": 1})
    if is_kafka(broker):
        pytest.skip("Kafka's data directory is not opened here")
    topics = ["hangs-theirs", "hangs-ours"]
    with RawClient(broker.bootstrap_servers) as client:
        for topic in topics:
            create_topic(client, topic)
    for number, topic in enumerate(topics):
        leave_hanging(broker, topic, producer_id=70 + number)
    theirs, ours = both(broker, kafka_tools, "transactions", "find-hanging", "--broker-id", "1")
    assert sorted(facts(ours)) == sorted(facts(theirs))
    assert len(facts(ours)) == 3
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    for topic, run in zip(topics, (kafka_tools.run, run_kstore), strict=True):
        place = ("--topic", topic, "--partition", "0", "--start-offset", "0")
        run("transactions", *servers, "abort", *place)
    theirs, ours = both(broker, kafka_tools, "transactions", "find-hanging", "--broker-id", "1")
    assert facts(ours) == facts(theirs)
    assert len(facts(ours)) == 1
