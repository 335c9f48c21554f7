"""Processor time and memory, from a /proc of our own making and from a real process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.processes import TICKS, Memory, PeakMemory, children, memory, processor_s


def a_process(proc: Path, pid: int, ticks: list[int], below: list[int], kilobytes: int) -> None:
    """Two threads, each with its share of the children."""
    directory = proc / str(pid)
    before = ["S", "1", *["0"] * 9]
    (directory / "task" / str(pid)).mkdir(parents=True)
    (directory / "task" / str(pid + 1)).mkdir()
    fields = [*before, *map(str, ticks), "20"]
    (directory / "stat").write_text(f"{pid} (a (very) odd name) {' '.join(fields)}\n")
    (directory / "status").write_text(
        f"Name:\tx\nVmRSS:\t{kilobytes * 2} kB\nRssAnon:\t{kilobytes} kB\nRssFile:\t9 kB\n"
    )
    first, others = below[:1], below[1:]
    (directory / "task" / str(pid) / "children").write_text(" ".join(map(str, first)))
    (directory / "task" / str(pid + 1) / "children").write_text(" ".join(map(str, others)) + " ")


def test_children_of_all_threads_count(tmp_path: Path) -> None:
    a_process(tmp_path, 100, [TICKS, 2 * TICKS, 4 * TICKS, 8 * TICKS], [200, 300], 10)
    a_process(tmp_path, 200, [16 * TICKS, 0, 0, 0], [], 100)
    a_process(tmp_path, 300, [0, 32 * TICKS, 0, 0], [], 1000)
    assert children(100, tmp_path) == [200, 300]
    assert processor_s(100, tmp_path) == 63
    assert memory(100, tmp_path) == Memory(2 * 1110 * 1024, 1110 * 1024)


def test_the_peak_is_seen_though_it_is_over() -> None:
    code = "import sys; sys.stdin.readline(); x = bytearray(50_000_000); print(len(x), flush=True)"
    code += "; sys.stdin.readline(); del x; print('less', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with PeakMemory(process.pid) as watch:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "50000000\n"
            while watch.peak.anonymous < 50_000_000:
                time.sleep(PeakMemory.PERIOD_S / 5)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "less\n"
        assert memory(process.pid).anonymous < 50_000_000 < watch.peak.anonymous
        assert processor_s(process.pid) >= 0
        process.stdin.write("\n")
        process.stdin.flush()
