"""The pictures of docs/performance.md, drawn from bench/results/compare-*.json.

python -m bench.compare.plots [RESULTS [IMAGES]]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.compare.report import NAMES, PICTURES, metric_name
from bench.compare.results import Result, read_all
from bench.compare.targets import KSTORE, TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
# Told apart also by those who do not see all colours.
COLORS = {"kstore": "#0b6e4f", "kafka": "#c8553d", "tansu": "#3d7ea6", "crabka": "#8d6a9f"}
GRAY = "#8a8f98"
LATENCY_CASES = ("sync-1", "sync-all", "end-to-end-1000", "end-to-end-20000")
COSTS = (
    ("pipelined", "processor_us_per_request", "100-byte produce: processor, µs"),
    ("produce-1", "processor_s_per_gb", "produce 1 MB: processor, s/GB"),
    ("fetch-1", "processor_s_per_gb", "fetch: processor, s/GB"),
    ("crowd", "resident_mb", "5,400 connections: memory, MB"),
)


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """A figure without a window, and its axes as a table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8, color=GRAY)
    return figure, axes


def ratios(results: Mapping[str, Result]) -> Any:
    """kstore beside Kafka in each case: how many times less, or more, and where the target is."""
    rows = [
        (target, ratio)
        for target in TARGETS
        if target.beside == "kafka"
        and target.case in results
        and (ratio := target.figure(results[target.case]))
    ]
    figure, axes = new_figure(1, 1, 9, 1.2 + 0.27 * len(rows))
    chart = axes[0][0]
    for number, (target, ratio) in enumerate(rows):
        met = target.is_met(results[target.case])
        color = COLORS["kstore"] if met else COLORS["kafka"]
        better = _times_better(target, ratio)
        chart.barh(number, better - 1, left=1, color=color, height=0.66)
        wanted = _times_better(target, _bound(target))
        chart.vlines(wanted, number - 0.42, number + 0.42, color="black", linewidth=1.6)
        chart.annotate(f" {better:.1f}", (max(better, 1), number), va="center", fontsize=8)
    chart.set_xscale("log")
    chart.set_xlim(left=0.5)
    chart.set_yticks(range(len(rows)), [f"{t.case}: {metric_name(t.metric)}" for t, _ in rows])
    chart.invert_yaxis()
    chart.axvline(1, color=GRAY, linewidth=0.8)
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 50, 100]
    chart.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    chart.minorticks_off()
    chart.set_title("Times better than Kafka (black: the target; red: missed)", fontsize=10)
    return figure


def _times_better(target: Target, ratio: float) -> float:
    return ratio if target.at_least is not None else 1 / ratio


def _bound(target: Target) -> float:
    limit = target.at_most if target.at_most is not None else target.at_least
    assert limit, target
    return limit


def latencies(results: Mapping[str, Result]) -> Any:
    """How many requests took longer than a latency, from half of them to one in 100,000."""
    from matplotlib.lines import Line2D

    found = [case for case in LATENCY_CASES if case in results]
    figure, axes = new_figure(-(-len(found) // 2) or 1, 2, 9, 6.4)
    for chart, case in zip(axes.flat, found, strict=False):
        result = results[case]
        chart.set_xscale("log")
        chart.set_yscale("log")
        floor = [(us / 1000, 1 - share) for share, us in result.quantiles("bare") if share < 1]
        if floor:
            chart.plot(*zip(*floor, strict=True), color=GRAY, linewidth=1.2, linestyle=":")
        for name, color in COLORS.items():
            points = [(us / 1000, 1 - share) for share, us in result.quantiles(name) if share < 1]
            if points:
                chart.plot(*zip(*points, strict=True), color=color, linewidth=1.8)
        chart.set_title(result.title, fontsize=9)
        chart.grid(which="major", color="#e4e6ea", linewidth=0.7)
        chart.set_yticks([1, 0.1, 0.01, 0.001, 0.0001], ["all", "10 %", "1 %", "0.1 %", "0.01 %"])
        chart.set_xlabel("ms", fontsize=8)
        chart.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.supylabel("share that took longer", fontsize=9)
    shown = [name for name in COLORS if any(results[case].rounds.get(name) for case in found)]
    figure.legend(
        handles=[
            *(Line2D([], [], color=COLORS[name], label=NAMES[name]) for name in shown),
            Line2D([], [], color=GRAY, linestyle=":", label="no broker: sockets and load alone"),
        ],
        loc="outside upper center",
        ncols=len(shown) + 1,
        frameon=False,
        fontsize=9,
    )
    return figure


def costs(results: Mapping[str, Result]) -> Any:
    """What a broker spends, in four cases."""
    figure, axes = new_figure(1, len(COSTS), 11, 2.9)
    for chart, (case, metric, title) in zip(axes.flat, COSTS, strict=True):
        chart.set_title(title, fontsize=9)
        found = {
            name: value
            for name in COLORS
            if case in results and (value := results[case].median(name, metric)) is not None
        }
        chart.margins(y=0.12)
        bars = chart.bar(
            [NAMES[name] for name in found],
            list(found.values()),
            color=[COLORS[name] for name in found],
            width=0.62,
        )
        chart.bar_label(bars, fmt="{:.3g}", fontsize=8, padding=2)
        chart.set_yticks([])
        chart.spines["left"].set_visible(False)
    return figure


DRAWN = {"ratios": ratios, "latencies": latencies, "costs": costs}


def main() -> None:
    given = [Path(word) for word in sys.argv[1:]]
    source = given[0] if given else ROOT / "bench" / "results"
    target = given[1] if len(given) > 1 else ROOT / "docs" / "images"
    results = read_all(source)
    if not any(KSTORE in result.rounds for result in results.values()):
        sys.exit(f"{source}: no results of a comparison")
    target.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        DRAWN[name](results).savefig(target / f"compare-{name}.png")


if __name__ == "__main__":
    main()
