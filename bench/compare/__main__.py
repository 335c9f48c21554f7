"""Compares kstore with other brokers; `make bench-compare` is this and the page made from it.

    python -m bench.compare [--cases a,b] [--brokers a,b] [--rounds 5] [--warm-up 60] [--quick]

Each case is written to compare-CASE.json as soon as it is done; with --continue those of the same
commit and the same options are not run again.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from bench.brokers import BROKERS
from bench.compare import load
from bench.compare.cases import CASES, Case
from bench.compare.report import targets_table
from bench.compare.results import path_of, read, read_all
from bench.compare.runner import CaseRun, Options

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"rounds": 1, "warm_up": 2.0, "scale": 0.1}
FREE_BYTES = 20e9  # three brokers with what a case keeps at full scale, twice over


def main() -> int:
    options = parse()
    if reason := load.why_unavailable():
        return fail(reason)
    options.directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(options.directory).free
    if free < FREE_BYTES * options.scale:
        return fail(f"{options.directory}: {free / 1e9:.0f} GB free, too few")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    failed = []
    for case in options.cases:
        try:
            run_case(case, options)
        except KeyboardInterrupt:
            return fail("interrupted; the cases that were finished are written")
        except Exception:  # the hour that the other cases take is not to be lost
            traceback.print_exc()
            failed.append(case.name)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes\n")
    print(targets_table(read_all(options.output)))
    return fail(f"not measured: {', '.join(failed)}") if failed else 0


def run_case(case: Case, options: argparse.Namespace) -> None:
    run = {
        "command": "python -m bench.compare " + " ".join(sys.argv[1:]),
        "commit": commit(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rounds": options.rounds,
        "warm_up_s": options.warm_up,
        "scale": options.scale,
        "brokers": sorted(options.brokers),
    }
    if options.resume and is_done(path_of(options.output, case.name), run):
        print(f"{case.name}: done already")
        return
    print(f"{case.name}: {case.title}", flush=True)
    started = time.monotonic()
    chosen = {name: BROKERS[name] for name in options.brokers}
    limits = Options(options.rounds, options.warm_up, options.scale, options.directory)
    result = CaseRun(case, chosen, limits).measure(run)
    run["seconds"] = round(time.monotonic() - started)
    result.write(options.output)


def is_done(path: Path, run: dict[str, Any]) -> bool:
    """Whether a finished case is what this run would make."""
    if not path.exists():
        return False
    found = read(path).run
    return all(found.get(name) == run[name] for name in run if name != "command")


def commit() -> str:
    """The checkout's commit; `-dirty` behind it if what is measured differs from it."""
    found = _git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{found}-dirty" if _git("diff", "HEAD", "--stat", "--", "src", "server") else found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", type=cases_named, default=list(CASES), help="of these only")
    parser.add_argument("--brokers", type=brokers_named, default=list(BROKERS))
    parser.add_argument("--rounds", type=int, help="measurements of each broker (5)")
    parser.add_argument("--warm-up", type=float, help="seconds of load for a JVM (60)")
    parser.add_argument("--scale", type=float, help="share of the full length of a round (1)")
    parser.add_argument("--quick", action="store_true", help="a look: short, once, elsewhere")
    parser.add_argument("--continue", action="store_true", dest="resume")
    parser.add_argument("--output", type=Path, help="where the results go (bench/results)")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / "build" / "compare", help="the brokers' data"
    )
    options = parser.parse_args()
    full = {"rounds": 5, "warm_up": 60.0, "scale": 1.0}
    for name, value in (QUICK if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.output is None:
        quick = ROOT / "build" / "compare-results"
        options.output = quick if options.quick else ROOT / "bench" / "results"
    return options


def cases_named(text: str) -> list[Case]:
    known = {case.name: case for case in CASES}
    return [known[name] for name in chosen(text, list(known))]


def brokers_named(text: str) -> list[str]:
    return chosen(text, list(BROKERS))


def chosen(text: str, known: list[str]) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(known)}")
    return names


def fail(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
