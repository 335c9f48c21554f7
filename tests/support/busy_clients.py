"""Clients that keep a broker busy for a second or two, in a process of their own.

`python -m tests.support.busy_clients BOOTSTRAP_SERVERS`: topics are made and deleted, records of
every codec written and read in a group, large fetches not read, and small requests sent in floods.
"""

from __future__ import annotations

import sys
import threading

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from kstore.wire.versions import ApiKey
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import fetch_values

RECORDS = 4_000
TOPICS = 300
FLOOD = 3_000


def write_and_read(bootstrap_servers: str, codec: str) -> None:
    topic = f"busy-{codec}"
    producer = Producer({"bootstrap.servers": bootstrap_servers, "compression.type": codec})
    for number in range(RECORDS):
        producer.produce(topic, b"%d" % number * 50, key=b"%d" % (number % 10))
        producer.poll(0)
    assert producer.flush(30) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    left = RECORDS
    while left:
        left -= len(consumer.consume(left, 10))
    consumer.close()


def make_and_delete_topics(bootstrap_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    names = [f"made-{number}" for number in range(TOPICS)]
    for done in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        done.result(30)
    admin.list_topics(timeout=30)
    for done in admin.delete_topics(names).values():
        done.result(30)


def flood(bootstrap_servers: str) -> None:
    with PipelinedClient(bootstrap_servers) as client, PipelinedClient(bootstrap_servers) as deaf:
        who = {"client_software_name": "busy", "client_software_version": "1"}
        client.send(*(client.frame(ApiKey.API_VERSIONS, 4, who) for _ in range(FLOOD)))
        offsets = {0: 0}
        values = fetch_values("busy-none", offsets, partition_max_bytes=1 << 30)
        deaf.send(*(deaf.frame(ApiKey.FETCH, 12, values) for _ in range(100)))
        for _ in range(FLOOD):
            client.next_frame()


def main() -> None:
    (bootstrap_servers,) = sys.argv[1:]
    failures: list[BaseException] = []

    def guarded(work: object, *arguments: str) -> None:
        try:
            work(bootstrap_servers, *arguments)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    jobs: list[tuple[object, ...]] = [
        (write_and_read, "none"),
        (write_and_read, "zstd"),
        (make_and_delete_topics,),
        (flood,),
    ]
    threads = [threading.Thread(target=guarded, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main()
