"""What the machine itself can do, measured in the same run: the physical limits of a broker.

Copy and CRC run over more memory than the caches hold. The two socket loops answer requests of one
byte with a megabyte each, as a fetch does; their figures are the answering side's alone.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from crc32c import crc32c

from bench.compare.results import Round

GIGABYTE = 1e9
REPLY_SIZE = 1 << 20
BUFFER_SIZE = 256 << 20
DEADLINE_S = 60


def memory_copy(seconds: float) -> float:
    """GB/s of copying from one buffer to another."""
    source, target = memoryview(bytearray(BUFFER_SIZE)), memoryview(bytearray(BUFFER_SIZE))
    step = 16 << 20

    def copy() -> int:
        for position in range(0, BUFFER_SIZE, step):
            target[position : position + step] = source[position : position + step]
        return BUFFER_SIZE

    return _gb_per_s(copy, seconds)


def checksum(seconds: float) -> float:
    """GB/s of CRC-32C."""
    data = bytearray(BUFFER_SIZE)

    def check() -> int:
        crc32c(data)
        return BUFFER_SIZE

    return _gb_per_s(check, seconds)


def _gb_per_s(work: Callable[[], int], seconds: float) -> float:
    work()
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or not done:
        done += work()
    return done / spent / GIGABYTE


def loopback(seconds: float) -> Round:
    """Answers from one buffer in memory, by send."""
    data = bytes(REPLY_SIZE)

    def answer(client: socket.socket, number: int) -> None:
        client.sendall(data)

    return _answering(answer, seconds)


def sendfile(paths: Sequence[Path], file_bytes: int, seconds: float) -> Round:
    """Answers from the first `file_bytes` of these files in turn, by sendfile: the bare loop."""
    replies = file_bytes // REPLY_SIZE
    if not replies:
        raise ValueError(f"{file_bytes} bytes of a file are too few for a reply")
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")).fileno() for path in paths]

        def answer(client: socket.socket, number: int) -> None:
            file = files[number % len(files)]
            position = number // len(files) % replies * REPLY_SIZE
            end = position + REPLY_SIZE
            while position < end:
                sent = os.sendfile(client.fileno(), file, position, end - position)
                if not sent:
                    raise ValueError(f"a file ends before {end}")
                position += sent

        return _answering(answer, seconds)


def _answering(answer: Callable[[socket.socket, int], None], seconds: float) -> Round:
    """A child process asks and reads for so long; this one answers and is measured."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        port = server.getsockname()[1]
        asking = subprocess.Popen([sys.executable, "-m", __spec__.name, str(port), str(seconds)])
        try:
            client, _ = server.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                replies, started, before = 0, time.perf_counter(), _own_processor_s()
                while client.recv(1):
                    answer(client, replies)
                    replies += 1
                used, spent = _own_processor_s() - before, time.perf_counter() - started
        finally:
            asking.kill()
            asking.wait()
    size = replies * REPLY_SIZE / GIGABYTE
    return Round({"gb_per_s": size / spent, "processor_s_per_gb": used / size})


def _ask(port: int, seconds: float) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as server:
        buffer = memoryview(bytearray(REPLY_SIZE))
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            server.sendall(b"?")
            received = 0
            while received < REPLY_SIZE:
                received += server.recv_into(buffer[received:])


def _own_processor_s() -> float:
    """Of this thread: others of the process may watch something else."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _ask(int(sys.argv[1]), float(sys.argv[2]))
