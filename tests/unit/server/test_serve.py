"""`kstore serve` as a process: what it says, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVE = [sys.executable, "-m", "kstore.cli", "serve"]
READY = re.compile(
    r"kstore ready: PLAINTEXT://(127\.0\.0\.1:\d+) \(node (\d+), cluster ([\w-]{22}), data (.+)\)\n"
)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(processes: list[subprocess.Popen[str]], *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    processes.append(process)
    return process


def refused(*arguments: str) -> str:
    """What a call that can't be served says; its status is 1 and it is one line."""
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("kstore: ")
    return done.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_ready_line_ready_file_and_clean_stop(
    processes: list[subprocess.Popen[str]], tmp_path: Path, stop: signal.Signals
) -> None:
    data, ready = tmp_path / "data", tmp_path / "ready"
    process = start(
        processes,
        *("--listen", "127.0.0.1:0", "--data-dir", str(data), "--ready-file", str(ready)),
        *("--set", "node.id=7"),
    )
    assert process.stdout is not None
    line = READY.fullmatch(process.stdout.readline())
    assert line is not None
    assert line[2] == "7"
    assert line[4] == str(data)
    host, port = line[1].split(":")
    socket.create_connection((host, int(port))).close()
    # The line comes before the file; whoever waits for the file needs nothing else.
    while not ready.exists():
        assert process.poll() is None
    assert ready.read_text() == f"{line[1]}\n"
    process.send_signal(stop)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == ""
    assert not ready.exists()
    assert (data / ".kafka_cleanshutdown").exists()


def test_a_second_broker_on_the_directory_is_refused(
    processes: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start(processes, "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))
    assert process.stdout is not None
    process.stdout.readline()
    said = refused("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))
    assert str(tmp_path) in said
    assert "in use" in said


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused("--listen", address, "--data-dir", str(tmp_path / "data"))
    assert address in said
    assert "in use" in said
    assert not (tmp_path / "data").exists(), "nothing is made before the port is had"


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / "data"
    assert str(directory) in refused("--listen", "127.0.0.1:0", "--data-dir", str(directory))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--listen", "0.0.0.0:0"], "advertised.listeners"),
        (["--advertise", "0.0.0.0:9092"], "advertised.listeners"),
        (["--set", "num.partitions=0"], "num.partitions"),
        (["--set", "log.segment.bytes=abc"], "log.segment.bytes"),
        (["--config", "missing.properties"], "missing.properties"),
    ],
)
def test_a_bad_setting_is_named(arguments: list[str], name: str, tmp_path: Path) -> None:
    assert name in refused("--data-dir", str(tmp_path / "data"), *arguments)
    assert not (tmp_path / "data").exists()


def test_a_name_that_nothing_reads_only_warns(
    processes: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    properties = tmp_path / "server.properties"
    properties.write_text(
        "process.roles=broker,controller\n"
        "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n"
        "controller.listener.names=CONTROLLER\n"
        f"log.dirs={tmp_path / 'data'}\n"
    )
    process = start(processes, "--config", str(properties))
    assert process.stdout is not None
    assert READY.fullmatch(process.stdout.readline())
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "process.roles" in said
