"""What acks=all on disk costs: many producers that share a sync, beside one sync for each batch.

    python bench/group_commit.py [--delays 0,1,5,10] [--producers 1,64] [--output FILE]
    python bench/group_commit.py --address HOST:PORT ...

Starts `kstore serve` on a disk whose syncs take so many milliseconds longer (`slow_sync.py`), once
with `kstore.acks.all.flush` and once with `log.flush.interval.messages=1`, or drives a broker that
is running already, Kafka too. Each producer is a connection that sends a batch
of ten records of 1 KB with acks=all when the one before was answered; all of them are driven by one
loop over raw sockets with requests encoded beforehand. A warm-up of a quarter of the time is not
counted.
"""

from __future__ import annotations

import argparse
import selectors
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import slow_sync
from single_node import BrokerProcess, Client, batch_of, create_topic, produce_frame
from stored import store

TOPIC = "group-commit"
RECORDS = 10
RECORD_SIZE = 1000
MODES = {
    "group commit": {"kstore.acks.all.flush": "true"},
    "flush.messages=1": {"log.flush.interval.messages": "1"},
}


class Producer:
    """One connection with one request under way, and how long each took."""

    def __init__(self, address: tuple[str, int], frame: bytes) -> None:
        self.client = Client(address)
        self.latencies: list[float] = []
        self._frame = frame
        self._sent_at = 0.0

    def send(self) -> None:
        self._sent_at = time.perf_counter()
        self.client.socket.sendall(self._frame)

    def answered(self) -> None:
        reply = self.client.reply()
        self.latencies.append(time.perf_counter() - self._sent_at)
        # Behind correlation id, tags, count, name, count and index stands the error code.
        at = 4 + 1 + 1 + 1 + len(TOPIC) + 1 + 4
        assert reply[at : at + 2] == b"\0\0", f"error {reply[at : at + 2].hex()}"


def load(address: tuple[str, int], producer_count: int, seconds: float) -> dict[str, float]:
    """Batches per second and the latency of each, in milliseconds."""
    frame = produce_frame(TOPIC, batch_of(RECORDS, RECORD_SIZE), acks=-1)
    producers = [Producer(address, frame) for _ in range(producer_count)]
    with selectors.DefaultSelector() as selector:
        for one in producers:
            selector.register(one.client.socket, selectors.EVENT_READ, one)
            one.send()
        started = time.perf_counter() + seconds / 4
        warm = False
        while time.perf_counter() < started + seconds:
            if not warm and time.perf_counter() >= started:
                warm = True
                for one in producers:
                    one.latencies.clear()
            for key, _ in selector.select(1.0):
                key.data.answered()
                key.data.send()
        for one in producers:
            one.client.reply()
    for one in producers:
        one.client.close()
    latencies = sorted(value for one in producers for value in one.latencies)
    return {
        "batches_per_s": round(len(latencies) / seconds, 1),
        "p50_ms": round(statistics.median(latencies) * 1e3, 3),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 3),
    }


def measure(
    delay_ms: float, settings: dict[str, str], producer_counts: list[int], seconds: float
) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        environment = slow_sync.environment(delay_ms)
        broker = BrokerProcess(Path(name), settings, environment)
        try:
            client = Client(broker.address)
            create_topic(client, TOPIC)
            client.close()
            return {
                f"{count} producers": load(broker.address, count, seconds)
                for count in producer_counts
            }
        finally:
            broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--delays", default="0,1,5,10", help="of a sync, in milliseconds")
    parser.add_argument("--producers", default="1,64")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--address", help="of a broker that runs already, with its own delay")
    options = parser.parse_args()
    counts = [int(text) for text in options.producers.split(",")]
    results: dict[str, object] = {}
    if options.address:
        host, port = options.address.rsplit(":", 1)
        address = (host, int(port))
        client = Client(address)
        create_topic(client, TOPIC)
        client.close()
        for count in counts:
            results[f"{count} producers"] = load(address, count, options.seconds)
    else:
        for text in options.delays.split(","):
            results[f"sync + {text} ms"] = {
                mode: measure(float(text), settings, counts, options.seconds)
                for mode, settings in MODES.items()
            }
    store(results, options.output)


if __name__ == "__main__":
    main()
