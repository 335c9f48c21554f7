"""The old age of logs in docs/performance.md: its targets, figures and pictures.

Made from compaction.json and beside.json, and for the targets also from recovery.json and
start_scale.json, as far as they are there. `python bench/upkeep_report.py` draws the pictures.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
IMAGES = ROOT / "docs" / "images"
NOT_YET = "Not measured yet: `make bench-upkeep`."
CODECS = {"none": "uncompressed", "zstd": "zstd"}
PEERS = {"kafka": "Kafka's cleaner", "codec": "decompress + compress"}
WORKS = {
    "retention": "retention removes segments",
    "compaction": "compaction flat out",
}
COLORS = {"kstore": "#0b6e4f", "kafka": "#c8553d", "codec": "#8a8f98"}


class Row(NamedTuple):
    """A target: what was found beside what, and the bound of that figure."""

    case: str
    found: str
    figure: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        if self.at_most is not None:
            return self.figure <= self.at_most
        assert self.at_least is not None, self
        return self.figure >= self.at_least


def stored(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def rows() -> Iterator[Row]:
    """The targets of which there are results."""
    for case in ((stored("compaction") or {"results": {}})["results"]).values():
        yield from _compaction_rows(case)
    recovery = stored("recovery")
    if recovery is not None:
        took = recovery["results"]["median"]
        name = f"recovery of {recovery['results']['gb']:.0f} GB unflushed"
        share = took["read_and_crc_s"] / took["kstore_s"]
        text = f"{took['kstore_s']:.2f} s; read + CRC {took['read_and_crc_s']:.2f} s"
        yield Row(name, text, share, "of the speed", at_least=0.5)
        if "kafka_s" in took:
            text = f"{took['kstore_s']:.2f} s; Kafka {took['kafka_s']:.2f} s"
            yield Row(name, text, took["kafka_s"] / took["kstore_s"], "times", at_least=3)
    start = stored("start_scale")
    if start is not None:
        found = start["results"]
        name = f"start with {found['partitions']:,} clean partitions"
        yield Row(name, "until clients are served", found["ready_s"], "s", at_most=3)
        yield Row(name, "resident memory", found["resident_mb"], "MB", at_most=400)
    for name, found in ((stored("beside") or {"results": {}})["results"]).items():
        text = f"{found['beside_p99_us']:.0f} µs; without {found['without_p99_us']:.0f} µs"
        bound = 1.5 if name == "retention" else 2.0
        yield Row(f"{WORKS[name]}: produce p99", text, found["p99_ratio"], "times", at_most=bound)


def _compaction_rows(case: dict[str, Any]) -> Iterator[Row]:
    name = (
        f"compaction of {case['plain_bytes'] / 1e9:.1f} GB, {case['record_size']:,}-byte records, "
        f"{CODECS[case['codec']]}"
    )
    speeds = {side: statistics.median(found) for side, found in case["mb_per_s"].items()}
    peer = next((side for side in speeds if side != "kstore"), None)
    if peer is not None:
        text = f"{speeds['kstore']:,.0f} MB/s; {PEERS[peer]} {speeds[peer]:,.0f} MB/s"
        bound = 2.0 if peer == "kafka" else 0.7
        yield Row(name, text, case["ratio"], "times", at_least=bound)
    if case["codec"] == "none":
        text = f"map of {case['keys']:,} keys"
        yield Row(name, text, case["map_bytes_per_key"], "bytes a key", at_most=27)


def targets() -> str:
    """Each target that was measured, and whether it is met."""
    found = list(rows())
    if not found:
        return NOT_YET
    lines = ["| case | measured | figure | target | |", "|---|---|---|---|---|"]
    told = ""
    for row in found:
        bound = f"at most {row.at_most:g}" if row.at_most else f"at least {row.at_least:g}"
        lines.append(
            f"| {'' if row.case == told else row.case} | {row.found} "
            f"| {row.figure:.2f} {row.unit} | {bound} | {'met' if row.is_met else '**missed**'} |"
        )
        told = row.case
    met = sum(row.is_met for row in found)
    return "\n".join([f"{met} of {len(found)} met.", "", *lines])


def figures() -> str:
    """All rounds of both benchmarks."""
    lines = []
    compaction, beside = stored("compaction"), stored("beside")
    if compaction is not None:
        lines += [
            f"`{compaction['command']}`, {compaction['machine']}; MB/s of the log, pair by pair:",
            "",
            "| case | log | kept | kstore | beside it |",
            "|---|---|---|---|---|",
        ]
        for name, case in compaction["results"].items():
            sides = case["mb_per_s"]
            others = [
                f"{PEERS[side]} {_speeds(found)}" for side, found in sides.items() if side in PEERS
            ]
            lines.append(
                f"| {name} | {case['log_bytes'] / 1e9:.2f} GB "
                f"| {case['kept_bytes'] / case['log_bytes']:.0%} | {_speeds(sides['kstore'])} "
                f"| {', '.join(others) or case['left_out']} |"
            )
    if beside is not None:
        lines += [
            "",
            f"`{beside['command']}`; p99 of a synchronous produce without / beside, pair by pair:",
            "",
            "| work | it took | p99, µs |",
            "|---|---|---|",
        ]
        for name, found in beside["results"].items():
            pairs = [
                f"{one['without_p99_us']:.0f} / {one['beside_p99_us']:.0f}"
                for one in found["rounds"]
            ]
            lines.append(f"| {WORKS[name]} | {found['busy_s']:.1f} s | {', '.join(pairs)} |")
    return "\n".join(lines) or NOT_YET


def _speeds(found: list[float]) -> str:
    return " ".join(f"{one:,.0f}" for one in found)


def picture() -> str:
    if not (IMAGES / "upkeep.png").exists():
        return NOT_YET
    return "![Compaction's speed, and produce beside upkeep](images/upkeep.png)"


# The picture


def draw() -> None:
    """Medians as bars, each round as a dot."""
    from bench.compare.plots import new_figure

    compaction, beside = stored("compaction"), stored("beside")
    figure, axes = new_figure(1, 2, 11, 3.6)
    speeds, waits = axes[0]
    speeds.set_title("Compaction, MB/s of the log as it lies on disk", fontsize=10)
    labels = []
    for at, case in enumerate((compaction or {"results": {}})["results"].values()):
        sides = case["mb_per_s"]
        for number, (side, found) in enumerate(sides.items()):
            place = at + (number - (len(sides) - 1) / 2) * 0.36
            median = statistics.median(found)
            speeds.bar(place, median, width=0.33, color=COLORS[side])
            speeds.plot([place] * len(found), found, "o", color="black", markersize=2.5)
            speeds.annotate(
                f"{median:,.0f}", (place, max(found)), ha="center", fontsize=8,
                xytext=(0, 3), textcoords="offset points",
            )  # fmt: skip
        labels.append(f"{case['record_size']:,} bytes\n{CODECS[case['codec']]}")
    speeds.set_xticks(range(len(labels)), labels)
    from matplotlib.patches import Patch

    named = {"kstore": "kstore", **PEERS}
    speeds.legend(
        handles=[Patch(color=COLORS[side], label=text) for side, text in named.items()],
        frameon=False,
        fontsize=8,
    )
    waits.set_title("Synchronous produce, p99 in µs, pair by pair", fontsize=10)
    names = []
    for at, (name, found) in enumerate((beside or {"results": {}})["results"].items()):
        for one in found["rounds"]:
            pair = [one["without_p99_us"], one["beside_p99_us"]]
            waits.plot([2 * at, 2 * at + 0.8], pair, "o-", color=COLORS["kstore"], markersize=4)
        names += [(2 * at, "without"), (2 * at + 0.8, f"beside\n{WORKS[name]}")]
    waits.set_xticks([place for place, _ in names], [name for _, name in names])
    waits.set_ylim(bottom=0)
    waits.margins(x=0.12)
    figure.savefig(IMAGES / "upkeep.png")


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(ROOT))
    draw()
