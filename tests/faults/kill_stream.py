"""One steady stream of idempotent records into a broker that is killed again and again.

A single producer sends numbered records in order. Its log must therefore be exactly the numbers
0, 1, 2, … of each partition, at those offsets: a lost, doubled or moved record shows at once. After
each kill the broker starts again on its port, and everything acknowledged so far must be there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import confluent_kafka

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, end_offsets, read_confluent

TOPIC = "stream"
DEADLINE_S = 600
# Few records wait in the client, so that the stream is as long as the test and not one burst.
QUEUE_COUNT = 2_000
BATCH_COUNT = 100
# Acknowledgements are taken seldom, and kills come between: then much is in flight.
POLL_COUNT = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does; a failure prints it."""

    record_count: int
    kill_count: int
    partition_count: int = 3
    value_size: int = 200
    codec: str = "none"


class KillStream:
    """Sends a plan's records, kills the broker between acknowledgements, and checks the log."""

    def __init__(self, broker: BrokerProcess, plan: Plan) -> None:
        self.broker = broker
        self.plan = plan
        self._acknowledged = [0] * plan.partition_count
        self._kills_left = [
            plan.record_count * number // (plan.kill_count + 1)
            for number in range(plan.kill_count, 0, -1)
        ]
        self._padding = b"." * plan.value_size
        self._failures: list[str] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "enable.idempotence": True,
                "compression.type": plan.codec,
                "linger.ms": 1,
                "batch.num.messages": BATCH_COUNT,
                "queue.buffering.max.messages": QUEUE_COUNT,
                "message.timeout.ms": DEADLINE_S * 1000,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 20,
                "log_level": 2,  # a refused connection is what we expect
            }
        )

    @property
    def acknowledged_count(self) -> int:
        return sum(self._acknowledged)

    def run(self) -> None:
        """The whole stream with all its kills; the broker runs at the end, and all was checked."""
        plan = self.plan
        create_topic(self.broker.bootstrap_servers, TOPIC, plan.partition_count)
        for number in range(plan.record_count):
            self._send(number % plan.partition_count, number // plan.partition_count)
        deadline = time.monotonic() + DEADLINE_S
        while len(self._producer):
            assert time.monotonic() < deadline, f"{len(self._producer)} records were never answered"
            self._poll(0.1)
        assert not self._kills_left, f"{len(self._kills_left)} kills never came"
        assert self.acknowledged_count == plan.record_count
        assert self._check() == self._acknowledged, "more records than were sent"

    def _send(self, partition: int, sequence: int) -> None:
        value = self._value(sequence)
        while True:
            try:
                self._producer.produce(
                    TOPIC, value=value, partition=partition, on_delivery=self._delivered
                )
            except BufferError:
                self._poll(0.1)
            else:
                if sequence % POLL_COUNT == 0:
                    self._poll(0)
                elif sequence % POLL_COUNT == POLL_COUNT // 2:
                    self._kill_if_due()
                return

    def _value(self, sequence: int) -> bytes:
        return b"%d " % sequence + self._padding

    def _delivered(
        self, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        partition, expected = message.partition(), self._acknowledged[message.partition()]
        if error is not None:
            self._failures.append(f"{message.value()!r:.20}: {error}")
            return
        if message.value() != self._value(expected):
            self._failures.append(f"{message.value()!r:.20} acknowledged, not {expected}")
        if message.offset() != expected:
            self._failures.append(f"{expected} of {partition} acknowledged at {message.offset()}")
        self._acknowledged[partition] += 1

    def _poll(self, timeout_s: float) -> None:
        """Takes acknowledgements."""
        self._producer.poll(timeout_s)
        assert not self._failures, self._failures[:5]

    def _kill_if_due(self) -> None:
        """Kills the broker if enough was acknowledged; starts it and checks its log.

        Called when hundreds of records were sent since acknowledgements were taken. A broker that
        has answered them all nevertheless is killed again later: that kill does not count.
        """
        if not self._kills_left or self.acknowledged_count < self._kills_left[-1]:
            return
        self.broker.kill()
        self._poll(0)
        in_flight_count = len(self._producer)
        print(f"kill: {self.acknowledged_count} acknowledged, {in_flight_count} in flight")
        if in_flight_count:
            self._kills_left.pop()
        self.broker.start()
        self._check()

    def _check(self) -> list[int]:
        """Reads all partitions to their ends and compares; returns the ends."""
        ends = end_offsets(self.broker.bootstrap_servers, TOPIC, self.plan.partition_count)
        found = read_confluent(self.broker.bootstrap_servers, TOPIC, ends)
        for partition, acknowledged_count in enumerate(self._acknowledged):
            values = [record.value for record in found[partition]]
            assert len(values) >= acknowledged_count, (
                f"partition {partition}: {acknowledged_count} acknowledged, {len(values)} there"
            )
            wrong = [n for n, value in enumerate(values) if value != self._value(n)]
            assert not wrong, f"partition {partition}: another record at offset {wrong[0]}"
        return [ends[partition] for partition in range(self.plan.partition_count)]
