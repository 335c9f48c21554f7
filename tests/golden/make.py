"""Makes the golden files again, with Apache Kafka itself: `make.py JARS` (4.3.1, and a JDK).

- `kafka-4.3.1/`: a data directory that Kafka wrote and closed cleanly (of it the partitions of
  KafkaData.java and the files at the top), after a run of the log cleaner;
- `expected.json`: its records, as Kafka's consumer read them;
- `dump.txt`: what Kafka's DumpLogSegments says about its files;
- `producers.txt`: what Kafka's ProducerStateManager makes of random steps.

docs/formats shows bytes of these files: its pages change with them (test_format_pages.py).
JARS is the directory with the jars of org.apache.kafka:kafka_2.13:4.3.1 and what they depend on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "kafka-4.3.1"
TOPICS = ["append-time", "codecs", "compacted", "rolled", "transactions"]
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
TIMEOUT_S = 120

SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
log.cleaner.backoff.ms=200
log.cleaner.dedupe.buffer.size=10485760
"""


class Java:
    """Programs of the JDK with Kafka's classes."""

    def __init__(self, jars: Path) -> None:
        self._command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]

    def run(self, *arguments: str | Path) -> str:
        command = [*self._command, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode:
            sys.exit(f"{arguments[0]} failed:\n{done.stderr}")
        return done.stdout

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator[None]:
        """A program that is asked to end when the block does."""
        process = subprocess.Popen(
            ["timeout", str(TIMEOUT_S), *self._command, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(TIMEOUT_S)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(happened: object, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not happened():  # type: ignore[operator]
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not happen in {TIMEOUT_S} s")
        time.sleep(0.1)


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_clean(directory: Path) -> bool:
    checkpoint = directory / "cleaner-offset-checkpoint"
    return checkpoint.exists() and "compacted 0" in checkpoint.read_text()


def write_data(java: Java, work: Path) -> list[str]:
    """Has Kafka write, clean and close a data directory; returns the lines of its consumer."""
    directory = work / "data"
    port = free_port()
    properties = work / "server.properties"
    properties.write_text(SERVER.format(port=port, controller=free_port(), directory=directory))
    java.run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", properties)
    with java.running("kafka.Kafka", properties):
        wait_until(lambda: accepts(port), "Kafka's start")
        java.run(HERE / "KafkaData.java", "write", f"127.0.0.1:{port}")
        wait_until(lambda: is_clean(directory), "a run of the cleaner")
        lines = java.run(HERE / "KafkaData.java", "read", f"127.0.0.1:{port}").splitlines()
    if not (directory / ".kafka_cleanshutdown").exists():
        sys.exit("Kafka was not closed cleanly")
    return lines


def keep(source: Path) -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_file() and entry.name not in (".lock", "bootstrap.checkpoint"):
            shutil.copyfile(entry, DATA / entry.name)
    for topic in TOPICS:
        shutil.copytree(source / f"{topic}-0", DATA / f"{topic}-0")
    for path in DATA.rglob("*.deleted"):
        path.unlink()


def expected(lines: list[str]) -> dict[str, list[dict[str, object]]]:
    records: dict[str, list[dict[str, object]]] = {f"{topic}-0": [] for topic in TOPICS}
    for line in lines:
        topic, partition, offset, timestamp, key, value, headers = line.split("\t")
        records[f"{topic}-{partition}"].append(
            {
                "offset": int(offset),
                "timestamp_ms": int(timestamp),
                "key": None if key == "-" else key,
                "value": None if value == "-" else value,
                "headers": [
                    [name, None if text == "-" else text]
                    for name, _, text in (field.partition("=") for field in headers.split(","))
                    if name
                ],
            }
        )
    return records


def dump(java: Java) -> str:
    """What Kafka's tool says about every file of the partitions, deeply."""
    os.chdir(DATA)
    files = [path for path in sorted(Path().glob("*-0/*.*")) if path.suffix != ".metadata"]
    names = ",".join(map(str, files))
    return java.run("org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files", names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jars", type=Path, help="directory with Kafka's jars")
    java = Java(parser.parse_args().jars.resolve())
    with tempfile.TemporaryDirectory() as work:
        lines = write_data(java, Path(work))
        keep(Path(work) / "data")
    text = json.dumps(expected(lines), separators=(",", ":"))
    (HERE / "expected.json").write_text(text.replace("{", "\n{") + "\n")
    (HERE / "dump.txt").write_text(dump(java))
    (HERE / "producers.txt").write_text(java.run(HERE / "ProducerTrace.java", "1", "500"))


if __name__ == "__main__":
    main()
