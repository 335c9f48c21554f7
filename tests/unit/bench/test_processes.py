"""The cost of a process and its children, and the peak of its memory while nobody looked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.processes import PeakMemory, cost, tree
from kstore.cli.errors import CommandError

CODE = """
import subprocess, sys, threading
child = []
if sys.argv[1:]:
    argv = [sys.executable, "-S", "-c", sys.argv[1]]
    one = threading.Thread(target=lambda: child.append(subprocess.Popen(argv)))
    one.start()
    one.join()
print("ready", flush=True)
for line in sys.stdin:
    held = bytearray(int(line))
    print(len(held), flush=True)
for one in child:
    one.kill()
    one.wait()
"""


class Program:
    """A process that holds as many bytes as it is told, and one whose child does nothing."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", CODE, "import time; time.sleep(60)"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def hold(self, size: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{size}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{size}\n"

    def end(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    yield program
    program.end()


def test_a_child_of_any_thread_counts(program: Program) -> None:
    pid = program.process.pid
    ids = tree(pid)
    assert len(ids) == 2
    assert ids[0] == pid
    alone = cost(ids[1])
    assert 0 < alone.resident_size < cost(pid).resident_size
    assert cost(pid).anonymous_size > alone.anonymous_size > 0


def test_the_peak_is_seen_though_it_is_over(program: Program) -> None:
    with PeakMemory(program.process.pid) as watch:
        program.hold(50_000_000)
        while watch.anonymous_size < 50_000_000:
            time.sleep(PeakMemory.PERIOD_S / 5)
        program.hold(0)
    assert cost(program.process.pid).anonymous_size < 50_000_000 < watch.anonymous_size


def test_a_process_that_has_ended_costs_nothing_more() -> None:
    program = Program()
    program.end()
    with pytest.raises(CommandError):
        cost(program.process.pid)
    with PeakMemory(program.process.pid) as watch:
        pass
    assert watch.resident_size == 0
