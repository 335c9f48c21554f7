"""The pipeline with librdkafka (confluent-kafka)."""

from __future__ import annotations

import os
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from tests.faults.pipelines import Job, is_told_to_stop, output_value, say

TIMEOUT_S = 60
TRY_S, TRIES = 5, 2


class Pipeline:
    """One instance: a member of the group and a transactional id."""

    def __init__(self, job: Job) -> None:
        self.job = job
        common = {
            "bootstrap.servers": job.bootstrap_servers,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "metadata.recovery.strategy": "none",  # else it may wait for ever: FINDINGS.md
            "log_level": 2,
        }
        self._producer = Producer(
            {**common, "transactional.id": job.instance, "linger.ms": 1, "retry.backoff.ms": 20}
        )
        self._consumer = Consumer(
            {
                **common,
                "group.id": job.group,
                "group.instance.id": job.instance,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )

    def run(self) -> None:
        self._producer.init_transactions(TIMEOUT_S)
        self._consumer.subscribe([self.job.input_topic])
        say("ready", self.job.instance)
        transactions = self.job.transactions()
        while not is_told_to_stop():
            messages = self._consumer.consume(self.job.record_count, timeout=0.1)
            records = [message for message in messages if message.error() is None]
            for message in messages:
                if message.error() is not None:
                    say("note", message.error())
            if records:
                self._move(records, *next(transactions))
        self._consumer.close()

    def _move(self, records: list[Message], transaction: str, aborting: bool) -> None:
        """One transaction; what it does not commit is read again."""
        self._producer.begin_transaction()
        try:
            half = max(1, len(records) // 2)
            self._send(records[:half], transaction, aborting)
            say("open", transaction)
            self._send(records[half:], transaction, aborting)
            self._insist(
                self._producer.send_offsets_to_transaction,
                self._next_offsets(records),
                self._consumer.consumer_group_metadata(),
            )
            say("ending", transaction)
            if aborting:
                self._insist(self._producer.abort_transaction)
                say("aborted", transaction, len(records))
                self._rewind(records)
            else:
                self._insist(self._producer.commit_transaction)
                say("committed", transaction, len(records))
        except KafkaException as error:
            say("note", error.args[0])
            self._insist(self._producer.abort_transaction)
            say("given-up", transaction)
            self._rewind(records)

    @staticmethod
    def _insist(call: Callable[..., object], *arguments: object) -> None:
        """Calls until it is done: after a kill librdkafka may wait for what never comes."""
        for _ in range(TRIES - 1):
            try:
                call(*arguments, TRY_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
        call(*arguments, TRY_S)

    def _send(self, records: list[Message], transaction: str, aborting: bool) -> None:
        """Sends them and waits until they were acknowledged, or not: the next call tells."""
        for message in records:
            self._producer.produce(
                self.job.output_topic,
                value=output_value(message.value(), transaction, aborting),
                partition=message.partition(),
            )
        self._producer.flush(TIMEOUT_S)

    def _next_offsets(self, records: list[Message]) -> list[TopicPartition]:
        offsets = {message.partition(): message.offset() + 1 for message in records}
        return [TopicPartition(self.job.input_topic, *one) for one in offsets.items()]

    def _rewind(self, records: list[Message]) -> None:
        first: dict[int, int] = defaultdict(lambda: sys.maxsize)
        for message in records:
            first[message.partition()] = min(first[message.partition()], message.offset())
        for partition in self._consumer.assignment():
            if partition.partition in first:
                partition.offset = first[partition.partition]
                try:
                    self._consumer.seek(partition)
                except KafkaException as error:
                    # It was taken away meanwhile; who gets it begins where the group has come to.
                    if error.args[0].code() != confluent_kafka.KafkaError._STATE:
                        raise


if __name__ == "__main__":
    try:
        Pipeline(Job.from_words()).run()
    except KafkaException:
        traceback.print_exc()
        os._exit(1)  # clients that are destroyed in good order would wait for the broker again
