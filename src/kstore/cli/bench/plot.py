"""`--plot FILE`: the results of a benchmark as one picture.

Of a broker: latency over time, its distribution, throughput over time with the broker's processor
beside it. Of the engine: the distribution of each part, and what each does per second. Latency is
always drawn on a logarithmic scale, and the distribution over the share of requests that took
longer, so that the rare slow ones have as much room as the many fast ones. matplotlib is loaded
only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kstore.cli.bench.embedded_result import EmbeddedResult
from kstore.cli.bench.latency_plot import distribution, latency_scale, time_text
from kstore.cli.bench.recorder import Interval
from kstore.cli.bench.result import Outcome, Result
from kstore.cli.bench.upkeep_plot import draw_upkeep
from kstore.cli.bench.upkeep_result import UpkeepResult
from kstore.cli.bench.workloads import Load
from kstore.cli.plots import COLORS, picture, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draws the outcomes of one benchmark. Raises OSError."""
    runs = [one for one in outcomes if isinstance(one, Result)]
    parts = [one for one in outcomes if isinstance(one, EmbeddedResult)]
    upkeep = [one for one in outcomes if isinstance(one, UpkeepResult)]
    with picture(file) as figure:
        if runs:
            _draw_runs(figure, runs)
        elif upkeep:
            draw_upkeep(figure, upkeep[0])
        else:
            _draw_parts(figure, parts)


def _draw_runs(figure: Figure, runs: Sequence[Result]) -> None:
    first = runs[0]
    title(figure, f"kstore bench {first.benchmark} · {first.workload}", _load_text(first))
    grid = figure.add_gridspec(2, 2, height_ratios=(1.15, 1))
    over_time = figure.add_subplot(grid[0, :])
    if len(runs) == 1:
        over_time.set_title("Latency over time")
        figure.text(0.99, 0.97, _figures_text(first), ha="right", va="center", fontsize=11)
        _latency_bands(over_time, first.intervals)
    else:
        for run, color in zip(runs, COLORS, strict=False):
            counted = [one for one in run.intervals if one.latency.count]
            latency = [one.latency.percentile(99) / 1e6 for one in counted]
            over_time.plot(_times(counted), latency, color=color, linewidth=1.2, label=run.part)
        over_time.set_title("Latency over time, 99th percentile")
    latency_scale(over_time)
    over_time.set_xlabel("seconds")
    over_time.set_xlim(0, max(run.intervals[-1].end_ns for run in runs) / 1e9)
    # Above the axes, where it hides nothing; one legend for all, as the colors are the same.
    over_time.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)
    latencies = [(run.part or "requests", run.latency) for run in runs]
    distribution(figure.add_subplot(grid[1, 0]), latencies)
    _throughput(figure.add_subplot(grid[1, 1]), runs)


def _figures_text(run: Result) -> str:
    """The run in a few words, for the picture's corner."""
    latency = run.latency
    values = [
        f"p{percent:g} {time_text(latency.percentile(percent) / 1e6)}" for percent in (50, 99)
    ]
    return " · ".join([*values, f"max {time_text(latency.max / 1e6)}"])


def _load_text(run: Result) -> str:
    load = run.load
    pace = f"{load.rate:,.0f} records/s, fixed schedule" if load.rate else "closed loop"
    partitions = "1 partition" if load.partitions == 1 else f"{load.partitions} partitions"
    connections = "1 connection" if load.connections == 1 else f"{load.connections} connections"
    return (
        f"{load.record_size:,}-byte records · {pace} · {partitions} · {connections} · "
        f"acks={'all' if load.acks < 0 else load.acks} · {_codec_text(load)}"
    )


def _codec_text(load: Load) -> str:
    return "uncompressed" if load.compression_type == "none" else load.compression_type


def _times(intervals: Sequence[Interval]) -> list[float]:
    return [(one.start_ns + one.end_ns) / 2e9 for one in intervals]


def _latency_bands(axes: Axes, intervals: Sequence[Interval]) -> None:
    """The median, the 99th percentile and the maximum of each interval."""
    counted = [one for one in intervals if one.latency.count]
    times = _times(counted)
    middle = [one.latency.percentile(50) / 1e6 for one in counted]
    high = [one.latency.percentile(99) / 1e6 for one in counted]
    top = [one.latency.max / 1e6 for one in counted]
    blue, orange = COLORS[:2]
    axes.scatter(times, top, s=7, color=orange, label="maximum", zorder=3)
    axes.fill_between(times, middle, high, color=blue, alpha=0.16, linewidth=0)
    axes.plot(times, high, color=blue, linewidth=1.0, label="99th percentile")
    axes.plot(times, middle, color=blue, linewidth=2.0, label="median")


def _throughput(axes: Axes, runs: Sequence[Result]) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title("Records per second")
    for run, color in zip(runs, COLORS, strict=False):
        rates = [
            one.record_count / max(1, one.end_ns - one.start_ns) * 1e9 for one in run.intervals
        ]
        axes.plot(_times(run.intervals), rates, color=color, linewidth=1.5, label=run.part)
        if len(runs) == 1:
            axes.fill_between(_times(run.intervals), rates, color=color, alpha=0.12, linewidth=0)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("seconds")
    axes.set_xlim(0, max(run.intervals[-1].end_ns for run in runs) / 1e9)
    if len(runs) > 1:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
        _processor(axes, runs[0])


def _processor(axes: Axes, run: Result) -> None:
    """The share of a processor that the broker took, on an axis of its own at the right."""
    before = run.recorder.cost_before
    if before is None:
        return
    shares, times, used_s = [], [], before.processor_s
    # The kernel counts in steps of 10 ms: some intervals together say more than each.
    together = max(1, len(run.intervals) // 30)
    for index in range(together - 1, len(run.intervals), together):
        last, first = run.intervals[index], run.intervals[index - together + 1]
        if last.cost is not None:
            shares.append((last.cost.processor_s - used_s) / (last.end_ns - first.start_ns) * 1e11)
            times.append((first.start_ns + last.end_ns) / 2e9)
            used_s = last.cost.processor_s
    right = axes.twinx()
    right.plot(times, shares, color=COLORS[1], linewidth=1.2)
    right.set_ylim(0, max(100.0, *shares) * 1.05)
    right.set_ylabel("% of a processor, broker", color=COLORS[1])
    right.tick_params(axis="y", colors=COLORS[1])
    right.grid(visible=False)
    right.spines["right"].set_visible(True)


def _draw_parts(figure: Figure, parts: Sequence[EmbeddedResult]) -> None:
    from matplotlib.ticker import EngFormatter

    first = parts[0]
    load = first.load
    title(
        figure,
        f"kstore bench {first.benchmark} · {first.workload}",
        f"{load.record_size:,}-byte records · {_codec_text(load)} · "
        f"{load.fill_size / 1e6:,.0f} MB · segments: {load.segments}",
    )
    times, bars = figure.subplots(1, 2, width_ratios=(1.6, 1))
    named = [(f"{part.part} ({part.operations})", part.latency) for part in parts]
    distribution(times, named)
    times.set_title("Time of an operation by percentile")
    times.legend(loc="upper left")
    if first.size:
        bars.set_title("Records per second")
        figures = [part.record_count / part.busy_ns * 1e9 for part in parts]
    else:
        bars.set_title("Operations per second")
        figures = [part.latency.count / part.busy_ns * 1e9 for part in parts]
    drawn = bars.bar([part.part for part in parts], figures, color=COLORS[: len(parts)], width=0.6)
    bars.bar_label(drawn, [EngFormatter(places=1, sep=" ")(one) for one in figures], padding=3)
    bars.yaxis.set_major_formatter(EngFormatter(sep=""))
    bars.grid(axis="x", visible=False)
