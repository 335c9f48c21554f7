"""A Java program that a test starts, kills and starts again; its output goes to a file."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

STOP_S = 90


class JavaProcess:
    """One program, as often as it is started."""

    def __init__(self, command: Sequence[str], log_file: Path) -> None:
        self._command = command
        self._log_file = log_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def kill(self) -> None:
        """`kill -9`; returns when the process is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGTERM; returns when the program has ended in good order."""
        assert self.process is not None, "the program does not run"
        self.process.terminate()
        self.process.wait(STOP_S)
        self.process = None

    def output(self) -> str:
        return self._log_file.read_text(errors="replace")

    def assert_alive(self) -> None:
        assert self.process is not None, "the program does not run"
        status = self.process.poll()
        assert status is None, f"the program ended with {status}:\n{self.output()[-4000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
