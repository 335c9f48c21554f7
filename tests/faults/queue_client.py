"""Clients that tell all that they do, for a judge of the queue; librdkafka's.

Run as `python -m tests.faults.queue_client ROLE NAME BOOTSTRAP TOPIC PARTITIONS SEED`, ROLE being
`transactional`, `plain` (an idempotent producer), `read_committed` or `read_uncommitted`. Says
lines of JSON, the first word of which is a method of History (tests/support); ends when its stdin
is closed. A client that cannot go on ends with another status and is started again.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.faults.pipelines import is_told_to_stop

COMMON = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "metadata.recovery.strategy": "none",  # else it may wait for ever: FINDINGS.md
    "log_level": 0,
}
# So short that a paused broker is taken for a broken connection, and records are sent again.
IMPATIENT = {"socket.timeout.ms": 1000, "retry.backoff.ms": 20, "linger.ms": 1}
TIMEOUT_S = 60
ABORTED_SHARE = 0.3
TRANSACTION_COUNT = 20
"""Records of a transaction, at most."""
PLAIN_COUNT = 100
"""Records that a producer without transactions has in flight, at most."""


def tell(what: str, *rest: object) -> None:
    print(json.dumps([what, *rest]), flush=True)


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    bootstrap_servers: str
    topic: str
    partition_count: int
    seed: int


class Sending:
    """A producer that tells of each record before it goes and after it was acknowledged."""

    def __init__(self, role: Role, settings: dict[str, object]) -> None:
        self._role = role
        self._choices = random.Random(role.seed)
        # A producer that was started again is another one: what was in flight may come late.
        self._name = f"{role.name}-{os.getpid()}"
        self._number = 0
        self._producer = Producer(
            {"bootstrap.servers": role.bootstrap_servers, **COMMON, **IMPATIENT, **settings}
        )

    def _send(self, count: int, transaction: str) -> None:
        for _ in range(count):
            partition = self._choices.randrange(self._role.partition_count)
            value = f"{self._name}-{self._number}"
            self._number += 1
            tell("send", self._name, partition, value, transaction)
            self._producer.produce(
                self._role.topic, value=value, partition=partition, on_delivery=self._delivered
            )
            self._producer.poll(0)

    @staticmethod
    def _delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            tell("acknowledge", message.value().decode(), message.offset())

    def run_plain(self) -> None:
        while not is_told_to_stop():
            self._send(PLAIN_COUNT, "")
            assert self._producer.flush(TIMEOUT_S) == 0, "records were never answered"

    def run_transactions(self) -> None:
        self._producer.init_transactions(TIMEOUT_S)
        while not is_told_to_stop():
            transaction = f"t-{self._name}-{self._number}"
            self._producer.begin_transaction()
            try:
                self._send(self._choices.randint(1, TRANSACTION_COUNT), transaction)
                self._end(transaction)
            except KafkaException as error:
                reason = error.args[0]
                if reason.fatal():
                    raise
                self._producer.abort_transaction(TIMEOUT_S)
                tell("end", transaction, "aborted")

    def _end(self, transaction: str) -> None:
        self._producer.flush(TIMEOUT_S)
        if self._choices.random() < ABORTED_SHARE:
            self._producer.abort_transaction(TIMEOUT_S)
            return tell("end", transaction, "aborted")
        tell("ask_for_commit", transaction, time.monotonic())
        while True:
            try:
                self._producer.commit_transaction(TIMEOUT_S)
                return tell("end", transaction, "committed")
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise


def read(role: Role, isolation: str) -> None:
    """A member of the group of its isolation; it tells of each record."""
    consumer = Consumer(
        {
            "bootstrap.servers": role.bootstrap_servers,
            **COMMON,
            "group.id": f"{role.topic}-{isolation}",
            "isolation.level": isolation,
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 200,
            "session.timeout.ms": 6000,
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )

    def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
        tell("begin_reading", role.name, isolation)

    consumer.subscribe([role.topic], on_assign=assigned)
    while not is_told_to_stop():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            place = (message.partition(), message.offset(), message.value().decode())
            tell("poll", role.name, [place], time.monotonic())
    consumer.close()


def main() -> None:
    what, name, bootstrap, topic, partitions, seed = sys.argv[1:]
    role = Role(name, bootstrap, topic, int(partitions), int(seed))
    if what == "transactional":
        Sending(role, {"transactional.id": name}).run_transactions()
    elif what == "plain":
        Sending(role, {"enable.idempotence": True}).run_plain()
    else:
        read(role, what)


if __name__ == "__main__":
    main()
