"""The picture of `kstore bench compaction` and `retention`: the work over time, what it did to the
log, and what it did to those who append and read meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from kstore.cli.bench.latency_plot import distribution, time_text
from kstore.cli.bench.upkeep_result import Moment, UpkeepResult
from kstore.cli.bench.workloads import Load
from kstore.cli.plots import COLORS, QUIET, size_text, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_upkeep"]

_RATES = {
    "mapped_bytes": ("keys into the map: read", COLORS[3]),
    "read_bytes": ("rewriting: read", COLORS[0]),
    "written_bytes": ("rewriting: written", COLORS[1]),
}
_COUNTS = {
    "taken": ("out of the log", COLORS[0]),
    "set_aside": ("renamed", COLORS[1]),
    "removed": ("removed", COLORS[2]),
}
_POINTS = 80


def draw_upkeep(figure: Figure, result: UpkeepResult) -> None:
    """Draws one run into an empty figure."""
    title(
        figure,
        f"kstore bench {result.benchmark} · {result.workload}",
        _load_text(result.benchmark, result.load),
        _corner(result),
    )
    grid = figure.add_gridspec(2, 2, height_ratios=(1.05, 1), width_ratios=(1.5, 1))
    over_time = figure.add_subplot(grid[0, :])
    if result.benchmark == "compaction":
        _rates(over_time, result.moments)
    else:
        _counts(over_time, result.moments)
    over_time.set_xlabel("seconds")
    over_time.set_xlim(0, result.elapsed_s)
    over_time.set_ylim(bottom=0)
    over_time.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    latencies = figure.add_subplot(grid[1, 0])
    _latencies(latencies, result)
    _sizes(figure.add_subplot(grid[1, 1]), result)


def _load_text(benchmark: str, load: Load) -> str:
    codec = "uncompressed" if load.compression_type == "none" else load.compression_type
    if benchmark == "retention":
        return f"{load.segments:,} segments · {load.fill_size / 1e6:,.0f} MB · {codec}"
    text = (
        f"{load.record_size:,}-byte records · {load.keys:,} keys, {load.distribution} · "
        f"{load.overwrite_ratio:.0%} overwrite"
    )
    if load.tombstone_share:
        text += f", {load.tombstone_share:.0%} of these delete"
    return f"{text} · {load.segments} segments · {codec}"


def _corner(result: UpkeepResult) -> str:
    figures = result.figures
    if result.benchmark == "retention":
        return f"{figures['segments_per_s']:,.0f} segments/s"
    return (
        f"{figures['bytes_per_s'] / 1e6:,.0f} MB/s · {figures['records_per_s'] / 1e6:.1f} million "
        f"records/s · {figures['map_bytes_per_key']:.1f} bytes a key"
    )


def _rates(axes: Axes, moments: list[Moment]) -> None:
    """MB per second of each kind of work."""
    axes.set_title("MB per second")
    step = max(1, len(moments) // _POINTS)
    shown = [*moments[:-1:step], *moments[-1:]]
    for name, (label, color) in _RATES.items():
        edges, rates = [shown[0].at_s], []
        for before, after in pairwise(shown):
            span_s = max(after.at_s - before.at_s, 1e-9)
            rates.append((after.done[name] - before.done[name]) / span_s / 1e6)
            edges.append(after.at_s)
        axes.stairs(rates, edges, color=color, linewidth=1.6, label=label)
        axes.stairs(rates, edges, color=color, alpha=0.13, fill=True)


def _counts(axes: Axes, moments: list[Moment]) -> None:
    axes.set_title("Segments")
    times = [one.at_s for one in moments]
    for name, (label, color) in _COUNTS.items():
        axes.plot(times, [one.done[name] for one in moments], color=color, label=label)


def _latencies(axes: Axes, result: UpkeepResult) -> None:
    named = [
        ("append, beside it", result.beside.append),
        ("read, beside it", result.beside.read),
        ("append, alone", result.alone.append),
        ("read, alone", result.alone.read),
    ]
    counted = [(name, latency) for name, latency in named if latency.count]
    if not counted:
        axes.set_axis_off()
        return
    distribution(axes, counted)
    axes.set_title("Appends to another log, and reads of it")
    p99 = [f"{name} {time_text(latency.percentile(99) / 1e6)}" for name, latency in counted]
    axes.legend(p99, title="99th percentile", title_fontsize=8.5, loc="lower right")


def _sizes(axes: Axes, result: UpkeepResult) -> None:
    """The log's segments, one above the other, before and after."""
    axes.set_title("The log, segment by segment")
    whole = max(sum(result.sizes.before), 1)
    scale, unit = (1e9, "GB") if whole >= 1e9 else (1e6, "MB")
    columns = (("before", result.sizes.before, QUIET), ("after", result.sizes.after, COLORS[0]))
    for name, sizes, color in columns:
        bottom = 0.0
        # More than these can't be told apart: then the bar is drawn in one piece.
        pieces = sizes if len(sizes) <= 60 else [sum(sizes)]
        for size in pieces:
            axes.bar(
                name, size / scale, bottom=bottom, width=0.6, color=color, alpha=0.75,
                edgecolor="white", linewidth=1.0,
            )  # fmt: skip
            bottom += size / scale
        axes.annotate(
            f"{size_text(bottom * scale)}, {len(sizes):,} segment{'' if len(sizes) == 1 else 's'}",
            (name, bottom),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    axes.set_ylabel(unit)
    axes.margins(y=0.12)
    axes.set_xlim(-0.65, 1.65)
    axes.grid(axis="x", visible=False)
