"""Recovery after kill -9, beside reading and checking the same bytes, and beside Kafka.

    python bench/recovery.py [--output bench/results/recovery.json] [--gb 8] [--pairs 5]

A broker is given `--gb` gigabytes in `--partitions` partitions, in batches of 16 KB with sequences
as Java's producer sends them, and is killed; nothing of it was synced. Then, pair after pair: a
bare loop over the same files that reads them and takes a CRC of all, with as many threads as
recovery has; our broker; Kafka. Each start gets a directory of its own whose log files are hard
links to those that the kill left, so all three find the same bytes in the page cache. The times are
those that the brokers tell in their logs, from the first directory to the last log; `ready_s` is
from the start of our process until clients are served. Without a JDK Kafka is left out.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crc32c import crc32c
from single_node import Client, framed
from stored import store

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.brokers import BROKERS
from bench.brokers.kafka import Kafka
from bench.brokers.kind import Broker
from kstore.log.records import build_batch
from kstore.wire.codec import decode_response
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kstore.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kstore.wire.versions import ApiKey

TOPIC = "recovery"
RECORDS = 16
RECORD_SIZE = 1000
THREADS = 2  # num.recovery.threads.per.data.dir, ours and Kafka's default
GIGABYTE = 1e9
CHUNK_SIZE = 1 << 20
REQUEST_SIZE = 900_000
IN_FLIGHT = 4
READY_DEADLINE_S = 600

TOLD_BY_KSTORE = re.compile(r"recovered .* ([\d.]+) s$", re.MULTILINE)
TOLD_BY_KAFKA = re.compile(r"Loaded (\d+) logs in (\d+)ms")

LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn">
  <Appenders>
    <Console name="stderr" target="SYSTEM_ERR"><PatternLayout pattern="%m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="info"><AppenderRef ref="stderr"/></Root>
  </Loggers>
</Configuration>
"""


class TellingKafka(Kafka):
    """Kafka that tells how long loading took; it is ready when it has."""

    ready_deadline_s = READY_DEADLINE_S

    def _program(self) -> list[str]:
        config = self.directory / "log4j2.xml"
        config.write_text(LOG4J)
        return [
            f"-Dlog4j2.configurationFile={config}" if word.startswith("-Dlog4j2") else word
            for word in super()._program()
        ]

    def _is_ready(self) -> bool:
        # The log directories may be loaded long before, or long after, the port is open.
        return super()._is_ready() and TOLD_BY_KAFKA.search(self.log_file.read_text()) is not None


class Bench:
    """The directories of a run below `root`."""

    def __init__(self, root: Path, size: int, partitions: int, seed: int) -> None:
        self.root = root
        self.size = size
        self.partitions = partitions
        self.random = random.Random(seed)
        self.killed = root / "killed"
        self.template = root / "kafka-template"
        self.kafka = TellingKafka(root / "kafka", {}, {})
        self.number = 0

    def fill(self) -> None:
        """Has a broker take all the records, and kills it."""
        broker = BROKERS["kstore"].make(self.killed, {}, {})
        broker.start()
        try:
            client = Client(("127.0.0.1", broker.port))
            create_topic(client, self.partitions)
            waiting = 0
            for request in self.requests():
                client.socket.sendall(request)
                waiting += 1
                while waiting >= IN_FLIGHT:
                    check_produced(client.reply())
                    waiting -= 1
            for _ in range(waiting):
                check_produced(client.reply())
            client.close()
        finally:
            broker.kill()

    def requests(self) -> Iterator[bytes]:
        """Batches for each partition in turn, from a producer of its own; several to a request."""
        values = [self.random.randbytes(RECORD_SIZE) for _ in range(4 * RECORDS)]
        sent = sequence = 0
        while sent < self.size:
            together: dict[int, bytes] = {}
            for index in range(self.partitions):
                first = self.random.randrange(len(values) - RECORDS)
                batch = build_batch(
                    [(None, one) for one in values[first : first + RECORDS]],
                    producer_id=1000 + index,
                    producer_epoch=0,
                    base_sequence=sequence,
                    timestamp_ms=time.time_ns() // 1_000_000,
                )
                together[index] = batch
                sent += len(batch)
                if len(together) * len(batch) >= REQUEST_SIZE:
                    yield produce_frame(together)
                    together = {}
            if together:
                yield produce_frame(together)
            sequence += RECORDS

    def prepare_kafka(self) -> None:
        """A directory of Kafka that knows the topic, and was left cleanly: the template."""
        self.kafka.start()
        try:
            client = Client(("127.0.0.1", self.kafka.port))
            create_topic(client, self.partitions)
            client.close()
        finally:
            self.kafka.stop()
        self.kafka.data_dir.rename(self.template)

    def logs(self) -> list[Path]:
        return sorted(self.killed.glob(f"data/{TOPIC}-*/*.log"))

    def read_and_check(self) -> float:
        """Seconds of reading all logs and taking their CRCs, with nothing else done."""

        def work(path: Path) -> int:
            buffer = memoryview(bytearray(CHUNK_SIZE))
            position = 0
            with path.open("rb", buffering=0) as file:
                while count := os.preadv(file.fileno(), [buffer], position):
                    crc32c(buffer[:count])
                    position += count
            return position

        started = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(work, self.logs())) >= self.size
        return time.perf_counter() - started

    def recover(self) -> tuple[float, float]:
        """(seconds that recovery took, seconds until ready) of our broker."""
        self.number += 1
        broker = BROKERS["kstore"].make(self.root / f"run-{self.number}", {}, {})
        shutil.copytree(self.killed / "data", broker.data_dir, copy_function=link_or_copy)
        started = time.perf_counter()
        told = self.start_and_kill(broker, TOLD_BY_KSTORE)
        return float(told[1]), self.ready_at - started

    def recover_with_kafka(self) -> float:
        data = self.kafka.data_dir
        shutil.copytree(self.template, data)
        self.kafka.log_file.unlink()
        (data / ".kafka_cleanshutdown").unlink()
        (data / "recovery-point-offset-checkpoint").unlink()
        for path in self.logs():
            to = data / path.parent.name
            for old in to.iterdir():
                if old.name != "partition.metadata":
                    old.unlink()
            os.link(path, to / path.name)
        told = self.start_and_kill(self.kafka, TOLD_BY_KAFKA)
        assert int(told[1]) >= self.partitions
        return int(told[2]) / 1000

    def start_and_kill(self, broker: Broker, told: re.Pattern[str]) -> re.Match[str]:
        broker.start()
        self.ready_at = time.perf_counter()
        broker.kill()
        found = told.search(broker.log_file.read_text())
        assert found is not None, broker.output()
        shutil.rmtree(broker.data_dir)
        return found


def link_or_copy(source: str, target: str) -> None:
    if source.endswith(".log"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def create_topic(client: Client, partitions: int) -> None:
    topic = CreatableTopic(name=TOPIC, num_partitions=partitions, replication_factor=1)
    request = CreateTopicsRequest(topics=[topic], timeout_ms=60_000)
    reply = client.ask(framed(ApiKey.CREATE_TOPICS, 5, request))
    _, position = decode_response_header(ApiKey.CREATE_TOPICS, 5, reply)
    response = decode_response(ApiKey.CREATE_TOPICS, 5, reply, position)
    assert response.topics[0].error_code == 0, response  # type: ignore[attr-defined]


def produce_frame(batches: Mapping[int, bytes]) -> bytes:
    partitions = [
        PartitionProduceData(index=index, records=data) for index, data in batches.items()
    ]
    topic = TopicProduceData(name=TOPIC, partition_data=partitions)
    request = ProduceRequest(acks=1, timeout_ms=30_000, topic_data=[topic])
    return framed(ApiKey.PRODUCE, 9, request)


def check_produced(reply: bytes) -> None:
    _, position = decode_response_header(ApiKey.PRODUCE, 9, reply)
    response = decode_response(ApiKey.PRODUCE, 9, reply, position)
    for partition in response.responses[0].partition_responses:  # type: ignore[attr-defined]
        assert partition.error_code == 0, partition


def measure(bench: Bench, pairs: int, *, with_kafka: bool) -> dict[str, object]:
    bench.fill()
    if with_kafka:
        bench.prepare_kafka()
    found: dict[str, list[float]] = {name: [] for name in ("read_and_crc_s", "kstore_s", "ready_s")}
    if with_kafka:
        found["kafka_s"] = []
    bench.read_and_check()
    for _ in range(pairs):
        found["read_and_crc_s"].append(bench.read_and_check())
        recovered_s, ready_s = bench.recover()
        found["kstore_s"].append(recovered_s)
        found["ready_s"].append(ready_s)
        if with_kafka:
            found["kafka_s"].append(bench.recover_with_kafka())
    size = sum(path.stat().st_size for path in bench.logs())
    return {
        "gb": size / GIGABYTE,
        "partitions": bench.partitions,
        "pairs": pairs,
        "rounds": {name: [round(one, 3) for one in all_] for name, all_ in found.items()},
        "median": {name: round(statistics.median(all_), 3) for name, all_ in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--gb", type=float, default=8.0)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-kafka", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the data are made, and removed")
    options = parser.parse_args()
    why_not = BROKERS["kafka"].why_unavailable()
    with_kafka = not options.without_kafka and why_not is None
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        size = int(options.gb * GIGABYTE)
        bench = Bench(Path(name), size, options.partitions, options.seed)
        results = measure(bench, options.pairs, with_kafka=with_kafka)
    store(results, options.output)


if __name__ == "__main__":
    main()
