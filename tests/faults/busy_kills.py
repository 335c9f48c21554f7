"""A broker that is killed while it compacts, lets old segments go, and is written to.

One producer numbers its records from 0 on in two topics, so that number and offset are the same:
one is compacted all the time, of the other only the newest part is kept. After each kill nothing
that was acknowledged is missing, but what a newer record of its key or retention has taken.
"""

from __future__ import annotations

import random
import time

import confluent_kafka

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic
from tests.faults.reading import read_all, start_offset

KEYED, RECENT = "keyed", "recent"
KEY_COUNT = 40
KEPT_BYTES = 100_000
DEADLINE_S = 60

SETTINGS = {
    "log.cleaner.backoff.ms": 20,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.retention.check.interval.ms": 20,
    "log.segment.delete.delay.ms": 0,
    "log.flush.offset.checkpoint.interval.ms": 50,
}


class BusyKills:
    """`run` sends, kills and checks so many times; choices are drawn from `seed`."""

    def __init__(self, broker: BrokerProcess, seed: int) -> None:
        self._broker = broker
        self._choose = random.Random(seed)
        self._sent = {KEYED: 0, RECENT: 0}
        self._acknowledged = {KEYED: 0, RECENT: 0}
        self._failures: list[str] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 1,
                "batch.num.messages": 20,
                "message.timeout.ms": DEADLINE_S * 1000,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 20,
                "log_level": 2,  # a refused connection is what we expect
            }
        )

    def run(self, kill_count: int) -> None:
        small = {"internal_segment_bytes": "20000"}
        create_topic(
            self._broker.bootstrap_servers,
            KEYED,
            1,
            cleanup_policy="compact",
            min_cleanable_dirty_ratio="0.01",
            **small,
        )
        create_topic(
            self._broker.bootstrap_servers, RECENT, 1, retention_bytes=str(KEPT_BYTES), **small
        )
        for _ in range(kill_count):
            self._send(self._choose.randrange(500, 1500))
            self._producer.poll(self._choose.random() / 10)
            self._broker.kill()
            self._producer.poll(0)
            self._broker.start()
            self._check()
        self._send(500)
        assert self._producer.flush(DEADLINE_S) == 0, "records were never answered"
        assert self._acknowledged == self._sent
        self._wait_until_busy()
        self._check()

    def _send(self, count: int) -> None:
        for _ in range(count):
            for topic in (KEYED, RECENT):
                number = self._sent[topic]
                self._producer.produce(
                    topic,
                    key=b"%d" % (number % KEY_COUNT),
                    value=self._value(number),
                    partition=0,
                    on_delivery=self._delivered,
                )
                self._sent[topic] += 1
            if self._choose.random() < 0.05:
                self._producer.poll(0.001)

    @staticmethod
    def _value(number: int) -> bytes:
        return b"%d " % number + b"." * 150

    def _delivered(
        self, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        topic = message.topic()
        assert topic is not None
        expected = self._acknowledged[topic]
        if error is not None or message.offset() != expected:
            self._failures.append(f"{topic} {expected}: {error} at {message.offset()}")
        self._acknowledged[topic] += 1

    def _check(self) -> None:
        assert not self._failures, self._failures[:5]
        for topic, acknowledged in self._acknowledged.items():
            found = read_all(self._broker, topic)
            invented = [offset for offset, value in found.items() if value != self._value(offset)]
            assert not invented, f"{topic}: another record at {invented[:5]}"
            if topic == KEYED:
                latest = {offset % KEY_COUNT: offset for offset in sorted(found)}
                lost = [
                    offset
                    for offset in range(acknowledged)
                    if latest.get(offset % KEY_COUNT, -1) < offset
                ]
            else:
                # What went while it was read is not lost.
                start = start_offset(self._broker, topic)
                lost = [offset for offset in range(start, acknowledged) if offset not in found]
            assert not lost, f"{topic}: lost {lost[:5]} of {acknowledged}"

    def _wait_until_busy(self) -> None:
        """Something was compacted, and something let go; else this has tested nothing."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            keyed, recent = (read_all(self._broker, topic) for topic in (KEYED, RECENT))
            if len(keyed) < self._sent[KEYED] and min(recent) > 0:
                return
            assert time.monotonic() < deadline, "nothing was compacted, or nothing let go"
            time.sleep(0.05)
