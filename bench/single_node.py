"""What one broker costs: start, memory, processor per request, idle connections, the fixture.

    python bench/single_node.py [--output bench/results/single_node.json] [--rounds 5]

Starts `kstore serve` as a process of its own on a free port with a temporary directory, drives it
over raw sockets with requests that were encoded beforehand (so that the load costs less than the
broker), and reads the broker's processor time and memory from /proc. Figures are medians of
`--rounds` rounds after one warm-up round. Absolute figures of a shared machine mean little: compare
two builds by running them in turn.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stored import store

from kstore.log.records import Record, build_batch
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kstore.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kstore.wire.versions import ApiKey

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
IDLE_CONNECTIONS = 1000


class BrokerProcess:
    """`kstore serve` on a free port, with `settings` and more in its environment."""

    def __init__(
        self,
        directory: Path,
        settings: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        ready = directory / "ready"
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "kstore.cli", "serve",
                "--listen", "127.0.0.1:0",
                "--data-dir", str(directory / "data"),
                "--ready-file", str(ready),
                *(f"--set={name}={value}" for name, value in (settings or {}).items()),
            ],
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not ready.exists():
            if self.process.poll() is not None:
                raise SystemExit("the broker did not start")
            time.sleep(0.002)
        self.start_s = time.perf_counter() - started
        host, port = ready.read_text().strip().rsplit(":", 1)
        self.address = (host, int(port))

    def processor_s(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> dict[str, int]:
        """Resident and anonymous bytes."""
        found = {}
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                found[name] = int(value.split()[0]) * 1024
        return {"resident": found["VmRSS"], "anonymous": found["RssAnon"]}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Client:
    """A raw connection that sends encoded requests and reads whole replies."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb", buffering=1 << 20)

    def ask(self, frame: bytes) -> bytes:
        self.socket.sendall(frame)
        return self.reply()

    def reply(self) -> bytes:
        size = int.from_bytes(self.replies.read(4), "big")
        return self.replies.read(size)

    def close(self) -> None:
        self.replies.close()
        self.socket.close()


def framed(key: ApiKey, version: int, message: object) -> bytes:
    header = encode_request_header(RequestHeader(key, version, 1, "bench"))
    body = header + encode_request(message, version)  # type: ignore[arg-type]
    return len(body).to_bytes(4, "big") + body


def produce_frame(topic: str, batch: bytes, acks: int = 1) -> bytes:
    partition = PartitionProduceData(index=0, records=batch)
    return framed(
        ApiKey.PRODUCE,
        9,
        ProduceRequest(
            acks=acks,
            timeout_ms=30_000,
            topic_data=[TopicProduceData(name=topic, partition_data=[partition])],
        ),
    )


def fetch_frame(topic: str, offset: int, max_bytes: int) -> bytes:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    return framed(
        ApiKey.FETCH,
        12,
        FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=max_bytes,
            session_epoch=-1,
            topics=[FetchTopic(topic=topic, partitions=[partition])],
        ),
    )


def create_topic(client: Client, name: str) -> None:
    request = CreateTopicsRequest(
        topics=[CreatableTopic(name=name, num_partitions=1, replication_factor=1)],
        timeout_ms=10_000,
    )
    reply = client.ask(framed(ApiKey.CREATE_TOPICS, 5, request))
    _, position = decode_response_header(ApiKey.CREATE_TOPICS, 5, reply)
    response = decode_response(ApiKey.CREATE_TOPICS, 5, reply, position)
    assert response.topics[0].error_code == 0, response  # type: ignore[attr-defined]


def batch_of(count: int, value_size: int) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return build_batch([Record(0, now_ms, None, b"v" * value_size, ()) for _ in range(count)])


def pipelined(client: Client, frame: bytes, count: int, window: int) -> None:
    """Sends `count` requests, at most `window` unanswered."""
    chunk = frame * (window // 2)
    in_flight = 0
    left = count
    while left or in_flight:
        while left and in_flight <= window // 2:
            size = min(left, window // 2)
            client.socket.sendall(chunk[: size * len(frame)])
            in_flight += size
            left -= size
        for _ in range(min(in_flight, window // 2)):
            client.reply()
            in_flight -= 1


def per_request(
    broker: BrokerProcess, rounds: int, count: int, work: Callable[[], None]
) -> dict[str, float]:
    """Medians of the broker's processor time and the wall time per request, in µs."""
    processor, wall = [], []
    for number in range(rounds + 1):
        before, started = broker.processor_s(), time.perf_counter()
        work()
        if number:
            processor.append((broker.processor_s() - before) / count * 1e6)
            wall.append((time.perf_counter() - started) / count * 1e6)
    return {"processor_us": statistics.median(processor), "wall_us": statistics.median(wall)}


def measure(rounds: int, scale: float) -> dict[str, object]:
    results: dict[str, object] = {}
    count = max(100, int(20_000 * scale))
    with tempfile.TemporaryDirectory() as name:
        broker = BrokerProcess(Path(name))
        try:
            results["ready_s"] = broker.start_s
            results["idle_memory"] = broker.memory()
            client = Client(broker.address)
            create_topic(client, "small")
            create_topic(client, "large")
            small = produce_frame("small", batch_of(1, 100))
            results["produce_1_record_pipelined"] = per_request(
                broker, rounds, count, lambda: pipelined(client, small, count, 64)
            )
            few = count // 4

            def one_by_one(frame: bytes, times: int) -> None:
                for _ in range(times):
                    client.ask(frame)

            results["produce_1_record_synchronous"] = per_request(
                broker, rounds, few, lambda: one_by_one(small, few)
            )
            fetch_small = fetch_frame("small", 10, 200)
            results["fetch_1_record_pipelined"] = per_request(
                broker, rounds, count, lambda: pipelined(client, fetch_small, count, 64)
            )
            large = produce_frame("large", batch_of(900, 1024))
            large_count = max(10, int(300 * scale))
            results["produce_900_KiB"] = per_request(
                broker, rounds, large_count, lambda: pipelined(client, large, large_count, 4)
            )
            fetch_large = fetch_frame("large", 0, 900 << 10)
            results["fetch_900_KiB"] = per_request(
                broker, rounds, large_count, lambda: pipelined(client, fetch_large, large_count, 4)
            )
            before = broker.memory()["anonymous"]
            idle = [Client(broker.address) for _ in range(max(10, int(IDLE_CONNECTIONS * scale)))]
            for connection in idle:
                connection.ask(fetch_small)
            after = broker.memory()["anonymous"]
            results["bytes_per_idle_connection"] = (after - before) / len(idle)
            for connection in [*idle, client]:
                connection.close()
            results["memory_after_load"] = broker.memory()
        finally:
            broker.stop()
    results["fixture_ms"] = fixture_ms(rounds)
    return results


def fixture_ms(rounds: int) -> dict[str, float]:
    """Start and stop of the broker inside a test."""
    from kstore.testing import BrokerThread

    starts, stops = [], []
    for number in range(rounds + 1):
        broker = BrokerThread()
        began = time.perf_counter()
        broker.start()
        ready = time.perf_counter()
        broker.stop()
        if number:
            starts.append((ready - began) * 1e3)
            stops.append((time.perf_counter() - ready) * 1e3)
    return {"start": statistics.median(starts), "stop": statistics.median(stops)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full load")
    options = parser.parse_args()
    store(measure(options.rounds, options.scale), options.output)


if __name__ == "__main__":
    main()
