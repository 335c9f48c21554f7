"""How pictures show latency: on a logarithmic scale, and over the share that took longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kstore.cli.bench.histogram import Histogram
from kstore.cli.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["distribution", "latency_scale", "time_text"]


def latency_scale(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: time_text(ms)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def time_text(ms: float) -> str:
    """`20 ns`, `3 µs`, `1.5 ms`, `2 s`."""
    for unit, size in (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{ms * 1e6:.3g} ns"


def distribution(axes: Axes, latencies: Sequence[tuple[str, Histogram]]) -> None:
    """Latency over the percentile, with one more nine at each step to the right."""
    axes.set_title("Latency by percentile")
    most = 2
    for (name, latency), color in zip(latencies, COLORS, strict=False):
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
    latency_scale(axes)


def _mark_percentiles(axes: Axes, latency: Histogram, color: str) -> None:
    for percent in (50.0, 99.0, 99.9):
        share = 1 / (1 - percent / 100)
        if share > latency.count:
            break
        value = latency.percentile(percent) / 1e6
        axes.plot([share], [value], "o", color=color, markersize=4)
        axes.annotate(
            time_text(value),
            (share, value),
            xytext=(5, -11) if percent == 50 else (-4, 5),
            textcoords="offset points",
            ha="left" if percent == 50 else "right",
            fontsize=8.5,
            color=color,
        )
