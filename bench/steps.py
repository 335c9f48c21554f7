"""What the steps of a produce and a fetch of one record cost inside the broker.

    python bench/steps.py [--output bench/results/steps.json] [--count 20000]

Runs a broker's rooms in this process and calls them directly, without sockets: the dispatcher with
a whole frame, and each step on its own. Figures are the best of seven rounds, in µs: what is left
when nothing disturbs. What stands between the steps and the whole is Python that holds them
together.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kstore._native.frames import FrameReader, parse_client_id, parse_prefix
from kstore._native.produce import encode_produce_reply, parse_produce
from kstore.broker.context import Connection
from kstore.broker.dispatch import Dispatcher
from kstore.broker.partition import Partition
from kstore.configs import load
from kstore.metadata.topics import NewTopic
from kstore_server.main import new_runner
from kstore_server.server import Server

sys.path.insert(0, str(Path(__file__).parent))
from single_node import batch_of, fetch_frame, produce_frame

ROUNDS = 7
TOPIC = "steps"


def best_us(count: int, work: Callable[[], object]) -> float:
    """Microseconds of one call, in the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(count):
            work()
        found.append((time.perf_counter() - started) / count * 1e6)
    return min(found)


def steps(count: int, dispatcher: Dispatcher, partition: Partition) -> dict[str, float]:
    connection = Connection("127.0.0.1", 1, "bench")
    batch = batch_of(1, 100)
    whole = produce_frame(TOPIC, batch)
    frame = memoryview(whole)[4:]
    _, body = parse_client_id(frame, True)
    now_ms = time.time_ns() // 1_000_000
    reader = FrameReader(bytearray(1 << 16), 1 << 20)
    reader.buffer()[: len(whole)] = whole

    def cut() -> None:
        reader.received(len(whole))
        reader.next()
        reader.park()

    def header() -> None:
        parse_prefix(frame)
        parse_client_id(frame, True)

    results = [(TOPIC, 0, 0, 5, -1, 0)]
    found = {
        "produce": best_us(count, lambda: dispatcher.handle(frame, connection)),
        "produce: cut the frame": best_us(count, cut),
        "produce: read the header": best_us(count, header),
        "produce: walk the request": best_us(
            count, lambda: parse_produce(frame, body, True, False)
        ),
        "produce: check and append": best_us(count, lambda: partition.append(batch, now_ms)),
        "produce: write the reply": best_us(
            count, lambda: encode_produce_reply(1, results, True, True, True)
        ),
    }
    asked = memoryview(fetch_frame(TOPIC, 100, 200))[4:]
    found["fetch"] = best_us(count, lambda: dispatcher.handle(asked, connection))
    found["fetch: find the records"] = best_us(
        count, lambda: partition.read(100, 200, committed_only=False, at_least_one=True)
    )
    return found


async def measure(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        server = Server(load({"log.dirs": directory, "listeners": "PLAINTEXT://127.0.0.1:0"}))
        await server.start()
        try:
            broker = server.broker
            made: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            broker.make_topics([NewTopic(TOPIC, 1, 1)]).then(lambda done: made.set_result(None))
            await made
            gc.freeze()
            return steps(count, Dispatcher(broker), broker.partitions.find(TOPIC, 0))
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    with new_runner() as runner:
        results = runner.run(measure(options.count))
    stored = {
        "command": "python " + " ".join(["bench/steps.py", *sys.argv[1:]]),
        "machine": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "results": results,
    }
    text = json.dumps(stored, indent=2) + "\n"
    if options.output is not None:
        options.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
