"""How long a broker with many clean partitions takes to start, and how much memory it has then.

    python bench/start_scale.py [--output bench/results/start_scale.json] [--partitions 20000]

A broker makes the partitions, a hundred to a topic, gets a batch into each of them and is stopped.
Then it is started and stopped again, round after round: seconds from the start of the process until
clients are served, resident memory then, and seconds of the stop. Each figure is the median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from single_node import BrokerProcess, Client, framed
from stored import store

from kstore.log.records import build_batch
from kstore.wire.codec import decode_response
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kstore.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kstore.wire.versions import ApiKey

PARTITIONS_OF_A_TOPIC = 100
MEGABYTE = 1e6
STOP_DEADLINE_S = 300


def fill(client: Client, partitions: int) -> None:
    """Makes the topics, one after the other, and appends a batch to each partition."""
    batch = build_batch([(None, b"x" * 100)] * 10, timestamp_ms=time.time_ns() // 1_000_000)
    for number, first in enumerate(range(0, partitions, PARTITIONS_OF_A_TOPIC)):
        count = min(PARTITIONS_OF_A_TOPIC, partitions - first)
        topic = CreatableTopic(name=f"t{number}", num_partitions=count, replication_factor=1)
        made = ask(client, ApiKey.CREATE_TOPICS, 5, CreateTopicsRequest(topics=[topic]))
        assert made.topics[0].error_code == 0, made  # type: ignore[attr-defined]
        data = [PartitionProduceData(index=index, records=batch) for index in range(count)]
        request = ProduceRequest(
            acks=1,
            timeout_ms=30_000,
            topic_data=[TopicProduceData(name=f"t{number}", partition_data=data)],
        )
        answer = ask(client, ApiKey.PRODUCE, 9, request)
        for one in answer.responses[0].partition_responses:  # type: ignore[attr-defined]
            assert one.error_code == 0, one


def ask(client: Client, key: ApiKey, version: int, message: object) -> object:
    reply = client.ask(framed(key, version, message))
    _, position = decode_response_header(key, version, reply)
    return decode_response(key, version, reply, position)


def stop(broker: BrokerProcess) -> float:
    """Seconds that the stop took; it has to be a clean one."""
    started = time.perf_counter()
    broker.process.terminate()
    try:
        assert broker.process.wait(STOP_DEADLINE_S) == 0
    finally:
        broker.process.kill()
    return time.perf_counter() - started


def measure(directory: Path, partitions: int, rounds: int) -> dict[str, object]:
    broker = BrokerProcess(directory)
    started = time.perf_counter()
    try:
        client = Client(broker.address)
        fill(client, partitions)
        client.close()
        filled_s = time.perf_counter() - started
    finally:
        stop(broker)
    found: dict[str, list[float]] = {"ready_s": [], "resident_mb": [], "stop_s": []}
    for _ in range(rounds):
        broker = BrokerProcess(directory)
        found["ready_s"].append(broker.start_s)
        found["resident_mb"].append(broker.memory()["resident"] / MEGABYTE)
        found["stop_s"].append(stop(broker))
    return {
        "partitions": partitions,
        "rounds": rounds,
        "made_and_filled_s": round(filled_s, 1),
        **{name: round(statistics.median(all_), 2) for name, all_ in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--partitions", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results = measure(Path(name), options.partitions, options.rounds)
    store(results, options.output)


if __name__ == "__main__":
    main()
