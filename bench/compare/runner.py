"""Runs a case: starts its brokers, warms them up, measures them in turn, A B A B, and ends them.

The brokers of a case run side by side, but only one has work at a time. Whatever ends a case, an
error or Ctrl-C, ends its brokers by their process ids and removes their data.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.brokers.kind import Kind
from bench.compare.cases import Case
from bench.compare.results import Result, Round
from bench.compare.stage import Running, Size
from bench.slow_sync import environment

# What is compiled ahead of time needs its caches warm, no more.
NATIVE_WARM_UP_S = 5.0


@dataclass(frozen=True)
class Options:
    rounds: int
    warm_up_s: float
    scale: float
    directory: Path  # below it the brokers' data


class CaseRun:
    """One run of one case."""

    def __init__(self, case: Case, kinds: Mapping[str, Kind], options: Options) -> None:
        self.case = case
        self.options = options
        self.size = Size(options.scale)
        self.kinds = {name: kinds[name] for name in case.brokers if name in kinds}

    def measure(self, run: dict[str, Any]) -> Result:
        result = Result(self.case.name, self.case.title, run, {})
        self._leave_out(result)
        result.brokers = {name: kind.version for name, kind in self.kinds.items()}
        self.options.directory.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(
                dir=self.options.directory, prefix=f"{self.case.name}-", ignore_cleanup_errors=True
            ) as directory,
            ExitStack() as stack,
        ):
            if self.case.fresh:
                self._fresh_rounds(result, Path(directory))
            else:
                self._rounds(result, self._started(result, Path(directory), stack))
        return result

    def _leave_out(self, result: Result) -> None:
        for name, kind in list(self.kinds.items()):
            if reason := kind.why_unavailable():
                result.left_out[name] = reason
                del self.kinds[name]

    def _running(self, kind: Kind, directory: Path) -> Running:
        settings = {**kind.settings, **self.case.settings.get(kind.name, {})}
        return Running(kind, directory, self.size, settings, environment(self.case.sync_delay_ms))

    def _started(self, result: Result, directory: Path, stack: ExitStack) -> dict[str, Running]:
        """The brokers, running and warm; one that fails already here is left out."""
        everybody: dict[str, Running] = {}
        for name, kind in self.kinds.items():
            running = self._running(kind, directory / name)
            stack.callback(running.close)
            try:
                running.start()
                self.case.prepare(running)
                self._warm_up(running)
            except (RuntimeError, AssertionError) as error:
                self._failed(result, running, error)
            else:
                everybody[name] = running
        return everybody

    def _warm_up(self, running: Running) -> None:
        """The case's own load; a machine that compiles while it runs needs it for longer."""
        warm_up_s = self.options.warm_up_s
        if not running.kind.jvm:
            warm_up_s = min(warm_up_s, NATIVE_WARM_UP_S)
        end, number = time.monotonic() + warm_up_s, 0
        while time.monotonic() < end:
            number -= 1
            self.case.measure(running, number)

    def _rounds(self, result: Result, everybody: dict[str, Running]) -> None:
        for number in range(1, self.options.rounds + 1):
            for name, running in list(everybody.items()):
                try:
                    running.check_alive()
                    found = self.case.measure(running, number)
                except (RuntimeError, AssertionError) as error:
                    self._failed(result, running, error)
                    del everybody[name]
                else:
                    self._keep(result, name, found)
            for name, measure in self.case.extra.items():
                if "kstore" in everybody:  # which has the file, or is what it stands beside
                    self._keep(result, name, measure(everybody["kstore"]))

    def _fresh_rounds(self, result: Result, directory: Path) -> None:
        for number in range(1, self.options.rounds + 1):
            for name, kind in self.kinds.items():
                if name in result.left_out:
                    continue
                running = self._running(kind, directory / f"{name}-{number}")
                try:
                    found = self.case.measure(running, number)
                except (RuntimeError, AssertionError) as error:
                    self._failed(result, running, error)
                else:
                    self._keep(result, name, found)
                finally:
                    running.close()

    def _keep(self, result: Result, name: str, found: Round) -> None:
        result.rounds.setdefault(name, []).append(found)
        told = ", ".join(f"{metric} {value:.4g}" for metric, value in found.metrics.items())
        print(f"  {name}: {told}", flush=True)

    def _failed(self, result: Result, running: Running, error: Exception) -> None:
        lines = f"{error} {running.said()}".strip().splitlines()
        result.left_out[running.kind.name] = " / ".join(lines)[:400]
        print(f"  {running.kind.name} failed: {result.left_out[running.kind.name]}", flush=True)
        running.close()
