"""What the steps of a produce and a fetch of one record cost inside the broker.

    python bench/steps.py [--output bench/results/steps.json] [--count 20000]

Runs a broker's rooms in this process and calls them directly, without sockets: the dispatcher with
a whole frame, and each step on its own. Figures are the best of forty short rounds, in µs: what is
left when nothing disturbs. What stands between the steps and the whole is Python that holds them
together.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count as count_up
from pathlib import Path

from kstore._native.fetch import parse_fetch
from kstore._native.frames import FrameReader, parse_client_id, parse_prefix
from kstore._native.produce import encode_produce_reply, parse_produce
from kstore.broker.apis.fetch import SHAPES
from kstore.broker.context import Connection
from kstore.broker.dispatch import Dispatcher
from kstore.broker.partition import Partition
from kstore.configs import load
from kstore.metadata.topics import NewTopic
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kstore.wire.versions import ApiKey
from kstore_server.main import new_runner
from kstore_server.server import Server

sys.path.insert(0, str(Path(__file__).parent))
from single_node import batch_of, fetch_frame, framed, produce_frame
from stored import store

ROUNDS = 40
TOPIC = "steps"
QUIET_TOPIC = "quiet"
QUIET_COUNT = 100

EPOCH = struct.Struct(">i")
EPOCH_AT = 21
"""In the body of a fetch of version 12."""
SESSION_AT = 4 + 4 + 1 + 4 + 2
"""In the frame of its reply: behind size, correlation id, tags, throttle time, error code."""


def best_us(count: int, work: Callable[[], object]) -> float:
    """Microseconds of one call, in the best of the rounds that `count` calls make."""
    found = []
    calls = max(1, count // ROUNDS)
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        found.append((time.perf_counter() - started) / calls * 1e6)
    return min(found)


def produce_steps(count: int, dispatcher: Dispatcher, partition: Partition) -> dict[str, float]:
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
    return found


def fetch_steps(
    count: int, dispatcher: Dispatcher, partition: Partition, quiet: list[Partition]
) -> dict[str, float]:
    connection = Connection("127.0.0.1", 1, "bench")
    asked = memoryview(fetch_frame(TOPIC, 100, 200))[4:]
    _, body = parse_client_id(asked, True)
    log = partition.log
    while log.log_end_offset < 200:
        partition.append(batch_of(1, 100), time.time_ns() // 1_000_000)

    def read(offset: int) -> None:
        partition.read(offset, 200, committed_only=False, at_least_one=True)

    found = {
        "fetch": best_us(count, lambda: dispatcher.handle(asked, connection)),
        "fetch: walk the request": best_us(count, lambda: parse_fetch(asked, body, SHAPES[12])),
        "fetch: find the records": best_us(count, lambda: read(100)),
        "fetch: find the batch by the index": best_us(count, lambda: log.segments.active.find(100)),
    }
    log.roll()
    found["fetch: find the records in a sealed segment"] = best_us(count, lambda: read(100))

    names = [FetchPartition(partition=one.index, partition_max_bytes=200) for one in quiet]
    whole = session_frame(names, 0, -1)
    found[f"fetch of {len(quiet)} partitions without news"] = best_us(
        count // 5, lambda: dispatcher.handle(whole, connection)
    )
    reply = dispatcher.handle(session_frame(names, 0, 0), connection)
    assert isinstance(reply, list)
    assert isinstance(reply[0], bytes)
    session_id = int.from_bytes(reply[0][SESSION_AT : SESSION_AT + 4], "big")
    incremental = session_frame([], session_id, 1)
    epochs = count_up(1)

    def ask_again() -> None:
        EPOCH.pack_into(incremental, body + EPOCH_AT, next(epochs))
        dispatcher.handle(incremental, connection)

    found["the same in a session"] = best_us(count // 5, ask_again)
    waiting = session_frame(names, 0, -1, max_wait_ms=60_000)

    def wait() -> None:
        dispatcher.handle(waiting, connection)
        for waiter in tuple(connection.waiting):
            waiter.abandon()

    found["the same, waiting, and given up"] = best_us(count // 5, wait)
    return found


def session_frame(
    partitions: list[FetchPartition], session_id: int, epoch: int, max_wait_ms: int = 0
) -> memoryview:
    """A fetch of partitions of the quiet topic, as the dispatcher gets it."""
    topics = [FetchTopic(topic=QUIET_TOPIC, partitions=partitions)] if partitions else []
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=1 << 20,
        session_id=session_id,
        session_epoch=epoch,
        topics=topics,
    )
    return memoryview(bytearray(framed(ApiKey.FETCH, 12, request)))[4:]


async def measure(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        server = Server(load({"log.dirs": directory, "listeners": "PLAINTEXT://127.0.0.1:0"}))
        await server.start()
        try:
            broker = server.broker
            made: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            broker.make_topics([NewTopic(TOPIC, 1, 1), NewTopic(QUIET_TOPIC, QUIET_COUNT, 1)]).then(
                lambda done: made.set_result(None)
            )
            await made
            gc.freeze()
            dispatcher = Dispatcher(broker)
            loud = broker.partitions.find(TOPIC, 0)
            quiet = [broker.partitions.find(QUIET_TOPIC, index) for index in range(QUIET_COUNT)]
            return {
                **produce_steps(count, dispatcher, loud),
                **fetch_steps(count, dispatcher, loud, quiet),
            }
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    with new_runner() as runner:
        results = runner.run(measure(options.count))
    store(results, options.output)


if __name__ == "__main__":
    main()
