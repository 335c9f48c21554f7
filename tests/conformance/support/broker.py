"""A broker in a process of its own, as its users run it: started, stopped, killed, started again.

The tests see only what a user sees: the command, its ready file, exit status, output and port. The
first start takes a free port; every later start of the same object takes the same one, so that
clients find the broker again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

READY_DEADLINE_S = 60
STOP_DEADLINE_S = 60
POLL_S = 0.005


def kstore_command() -> list[str]:
    """The installed `kstore` beside this interpreter; without one, the same by its module."""
    installed = shutil.which("kstore", path=str(Path(sys.executable).parent))
    if installed:
        return [installed]
    return [sys.executable, "-m", "kstore.cli"]


class BrokerProcess:
    """`kstore serve` over `directory/data`; output goes to `directory/broker.log`."""

    running: list[BrokerProcess] = []
    clean_status = 0
    ready_deadline_s: float = READY_DEADLINE_S

    def __init__(self, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.data_dirs = [self.data_dir]
        self.settings = dict(settings or {})
        self.log_file = directory / "broker.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.advertised_host = ""
        """How clients are told to call it, from its second start on; else as it listens."""

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Starts the broker and returns when it accepts clients."""
        assert self.process is None, "the broker runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._prepare()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        BrokerProcess.running.append(self)
        deadline = time.monotonic() + self.ready_deadline_s
        while not self._is_ready():
            status = self.process.poll()
            assert status is None, f"the broker ended with {status} at start:\n{self.output()}"
            assert time.monotonic() < deadline, f"the broker was not ready:\n{self.output()}"
            time.sleep(POLL_S)
        return self

    def stop(self) -> None:
        """A clean stop: SIGTERM, and the status that says so."""
        status = self._end(signal.SIGTERM)
        assert status == self.clean_status, f"a clean stop ended with {status}:\n{self.output()}"

    def kill(self) -> None:
        """`kill -9`; returns when the process is gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def output(self) -> str:
        """The end of what the broker printed, in all its runs."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(errors="replace")[-8000:]

    def partition_dir(self, topic: str, partition: int) -> Path:
        return self.data_dir / f"{topic}-{partition}"

    def open_files(self) -> int:
        """How many descriptors the process holds: files, sockets and all."""
        assert self.process is not None, "the broker does not run"
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_size(self) -> int:
        """The bytes of memory that the process has all for itself."""
        assert self.process is not None, "the broker does not run"
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    def __enter__(self) -> Self:
        return self if self.process else self.start()

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if self.process is None:
            return
        if error_type is None:
            self.stop()
        else:
            self.kill()

    def _end(self, signal_number: signal.Signals) -> int:
        assert self.process is not None, "the broker does not run"
        process, self.process = self.process, None
        BrokerProcess.running.remove(self)
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the broker did not stop:\n{self.output()}") from None

    # What differs between kstore and the broker that stands in for it (judges/kafka.py).

    @property
    def _ready_file(self) -> Path:
        return self.directory / "ready"

    def _prepare(self) -> None:
        self._ready_file.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        command = [*kstore_command(), "serve", "--listen", self.bootstrap_servers]
        command += ["--data-dir", ",".join(map(str, self.data_dirs))]
        command += ["--ready-file", str(self._ready_file)]
        if self.advertised_host and self.port:
            command += ["--advertise", f"{self.advertised_host}:{self.port}"]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    def _is_ready(self) -> bool:
        if not self._ready_file.exists():
            return False
        self.port = int(self._ready_file.read_text().strip().rpartition(":")[2])
        return True


def run_kstore(*arguments: str, stdin: str = "", timeout_s: float = 60) -> str:
    """Runs a `kstore` command that must succeed; returns what it printed."""
    done = subprocess.run(
        [*kstore_command(), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, (
        f"kstore {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout
