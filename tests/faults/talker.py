"""A process of a test's that says lines on its stdout, and is killed, paused and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
STOP_S = 60


class Talker:
    """One program, as often as it is started. It ends when its stdin is closed."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        self.name = name
        self._command = command
        self._log_file = log_file
        self._rest = b""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process is not None, f"{self.name} does not run"
        assert self.process.stdout is not None
        return self.process.stdout

    def start(self, *words: object) -> None:
        self.close()
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "server"), str(ROOT)])
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
            )
        os.set_blocking(self.stdout.fileno(), False)
        self._rest = b""

    def lines(self) -> tuple[list[str], bool]:
        """The lines that it has said since, and whether it can say more."""
        said, alive = self._rest, True
        while True:
            part = self.stdout.read(1 << 16)
            if not part:
                alive = part is None
                break
            said += part
        *whole, self._rest = said.split(b"\n")
        return [line.decode(errors="replace") for line in whole if line.strip()], alive

    def pause(self) -> None:
        assert self.process is not None, f"{self.name} does not run"
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None, f"{self.name} does not run"
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`; what it said until then can still be read."""
        assert self.process is not None, f"{self.name} does not run"
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Kills it if it runs still, and forgets it."""
        if self.process is not None:
            self.kill()
            self.process.communicate()
            self.process = None

    def stop(self) -> list[str]:
        """Closes its stdin, waits for its end, and gives what it said until then."""
        assert self.process is not None, f"{self.name} does not run"
        os.set_blocking(self.stdout.fileno(), True)
        said, _ = self.process.communicate(timeout=STOP_S)
        status, self.process = self.process.returncode, None
        assert status == 0, f"{self.name} ended with {status}: {self.errors()}"
        return [line.decode(errors="replace") for line in (self._rest + said).splitlines()]

    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return self._log_file.read_text(errors="replace")[-2000:]
