"""`--plot FILE`: the results of a benchmark as one picture.

Of a broker: latency over time, its distribution, throughput over time with the broker's processor
beside it. Of the engine: the distribution of each part, and what each does per second. Latency is
always drawn on a logarithmic scale, and the distribution over the share of requests that took
longer, so that the rare slow ones have as much room as the many fast ones. matplotlib is loaded
only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kstore.cli.bench.embedded_result import EmbeddedResult
from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.recorder import Interval
from kstore.cli.bench.result import Outcome, Result
from kstore.cli.bench.workloads import Load
from kstore.cli.errors import CallError, CommandError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_plot", "draw"]

_SUFFIXES = (".png", ".svg", ".pdf")
_SIZE_INCHES = (10.0, 6.4)
_DPI = 100

_COLORS = ("#2563a8", "#c2571a", "#2d8a5f", "#8a3f9c")
_QUIET = "#6b7280"
_GRID = "#e5e7eb"
_STYLE: Any = {
    "font.size": 9.0,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def check_plot(file: Path) -> None:
    """Whether a plot can be drawn there, asked before the run. Raises `CommandError`."""
    if file.suffix.lower() not in _SUFFIXES:
        raise CallError(f"--plot {file}: want a name that ends in {', '.join(_SUFFIXES)}")
    if not file.absolute().parent.is_dir():
        raise CommandError(f"--plot {file}: no such directory")
    try:
        import_module("matplotlib")
    except ImportError:
        raise CommandError("--plot needs matplotlib: pip install 'kstore[plots]'") from None


def draw(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draws the outcomes of one benchmark. Raises OSError."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    runs = [one for one in outcomes if isinstance(one, Result)]
    parts = [one for one in outcomes if isinstance(one, EmbeddedResult)]
    with rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
        if runs:
            _draw_runs(figure, runs)
        else:
            _draw_parts(figure, parts)
        figure.savefig(file)


def _draw_runs(figure: Figure, runs: Sequence[Result]) -> None:
    first = runs[0]
    _title(figure, f"kstore bench {first.benchmark} · {first.workload}", _load_text(first))
    grid = figure.add_gridspec(2, 2, height_ratios=(1.15, 1))
    over_time = figure.add_subplot(grid[0, :])
    if len(runs) == 1:
        over_time.set_title("Latency over time")
        figure.text(0.99, 0.97, _figures_text(first), ha="right", va="center", fontsize=11)
        _latency_bands(over_time, first.intervals)
    else:
        for run, color in zip(runs, _COLORS, strict=False):
            counted = [one for one in run.intervals if one.latency.count]
            latency = [one.latency.percentile(99) / 1e6 for one in counted]
            over_time.plot(_times(counted), latency, color=color, linewidth=1.2, label=run.part)
        over_time.set_title("Latency over time, 99th percentile")
    _latency_scale(over_time)
    over_time.set_xlabel("seconds")
    over_time.set_xlim(0, max(run.intervals[-1].end_ns for run in runs) / 1e9)
    # Above the axes, where it hides nothing; one legend for all, as the colors are the same.
    over_time.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)
    latencies = [(run.part or "requests", run.latency) for run in runs]
    _distribution(figure.add_subplot(grid[1, 0]), latencies)
    _throughput(figure.add_subplot(grid[1, 1]), runs)


def _title(figure: Figure, title: str, below: str) -> None:
    figure.suptitle(f"{title}\n", x=0.012, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.0125, 0.945, below, ha="left", va="center", fontsize=9, color=_QUIET)


def _figures_text(run: Result) -> str:
    """The run in a few words, for the picture's corner."""
    latency = run.latency
    values = [
        f"p{percent:g} {_time_text(latency.percentile(percent) / 1e6)}" for percent in (50, 99)
    ]
    return " · ".join([*values, f"max {_time_text(latency.max / 1e6)}"])


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
    blue, orange = _COLORS[:2]
    axes.scatter(times, top, s=7, color=orange, label="maximum", zorder=3)
    axes.fill_between(times, middle, high, color=blue, alpha=0.16, linewidth=0)
    axes.plot(times, high, color=blue, linewidth=1.0, label="99th percentile")
    axes.plot(times, middle, color=blue, linewidth=2.0, label="median")


def _latency_scale(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time_text(ms)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _time_text(ms: float) -> str:
    """`20 ns`, `3 µs`, `1.5 ms`, `2 s`."""
    for unit, size in (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{ms * 1e6:.3g} ns"


def _distribution(axes: Axes, latencies: Sequence[tuple[str, Histogram]]) -> None:
    """Latency over the percentile, with one more nine at each step to the right."""
    axes.set_title("Latency by percentile")
    most = 2
    for (name, latency), color in zip(latencies, _COLORS, strict=False):
        if not latency.count:
            continue
        most = max(most, latency.count)
        points = [(1.0, next(latency.steps())[0])]
        for value, count in latency.steps():
            points.append((latency.count / max(1, latency.count - count), value))
        axes.step(
            [x for x, _ in points],
            [value / 1e6 for _, value in points],
            where="pre",
            color=color,
            linewidth=1.8,
            label=name,
        )
        if len(latencies) == 1:
            _mark_percentiles(axes, latency, color)
    axes.set_xscale("log")
    nines = [(2, "50"), (10, "90"), (100, "99"), (1e3, "99.9"), (1e4, "99.99"), (1e5, "99.999")]
    shown = [(x, text) for x, text in nines if x <= most]
    axes.set_xticks([x for x, _ in shown], [f"{text} %" for _, text in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, most * 1.6)
    axes.margins(y=0.14)  # room for the marks
    axes.set_xlabel("share that took no longer")
    _latency_scale(axes)


def _mark_percentiles(axes: Axes, latency: Histogram, color: str) -> None:
    for percent in (50.0, 99.0, 99.9):
        share = 1 / (1 - percent / 100)
        if share > latency.count:
            break
        value = latency.percentile(percent) / 1e6
        axes.plot([share], [value], "o", color=color, markersize=4)
        axes.annotate(
            _time_text(value),
            (share, value),
            xytext=(5, -11) if percent == 50 else (-4, 5),
            textcoords="offset points",
            ha="left" if percent == 50 else "right",
            fontsize=8.5,
            color=color,
        )


def _throughput(axes: Axes, runs: Sequence[Result]) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title("Records per second")
    for run, color in zip(runs, _COLORS, strict=False):
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
    right.plot(times, shares, color=_COLORS[1], linewidth=1.2)
    right.set_ylim(0, max(100.0, *shares) * 1.05)
    right.set_ylabel("% of a processor, broker", color=_COLORS[1])
    right.tick_params(axis="y", colors=_COLORS[1])
    right.grid(visible=False)
    right.spines["right"].set_visible(True)


def _draw_parts(figure: Figure, parts: Sequence[EmbeddedResult]) -> None:
    from matplotlib.ticker import EngFormatter

    first = parts[0]
    load = first.load
    _title(
        figure,
        f"kstore bench {first.benchmark} · {first.workload}",
        f"{load.record_size:,}-byte records · {_codec_text(load)} · "
        f"{load.fill_size / 1e6:,.0f} MB · segments: {load.segments}",
    )
    distribution, bars = figure.subplots(1, 2, width_ratios=(1.6, 1))
    named = [(f"{part.part} ({part.operations})", part.latency) for part in parts]
    _distribution(distribution, named)
    distribution.set_title("Time of an operation by percentile")
    distribution.legend(loc="upper left")
    if first.size:
        bars.set_title("Records per second")
        figures = [part.record_count / part.busy_ns * 1e9 for part in parts]
    else:
        bars.set_title("Operations per second")
        figures = [part.latency.count / part.busy_ns * 1e9 for part in parts]
    drawn = bars.bar([part.part for part in parts], figures, color=_COLORS[: len(parts)], width=0.6)
    bars.bar_label(drawn, [EngFormatter(places=1, sep=" ")(one) for one in figures], padding=3)
    bars.yaxis.set_major_formatter(EngFormatter(sep=""))
    bars.grid(axis="x", visible=False)
