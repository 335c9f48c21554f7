"""`kstore profile --plot FILE`: what would stay and what would go, as one picture.

Of compaction: each partition as a strip, its segments as wide as they are large and filled as far
as they are kept, so an area is an amount of bytes. Of retention: bytes by age, and by partition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kstore.cli.plots import COLORS, QUIET, picture, size_text, title
from kstore.cli.profile import Profiled
from kstore.log.profile import SegmentProfile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

__all__ = ["draw"]

_STAYS, _GOES = COLORS[0], "#f0b48f"
_MAX_ROWS = 12
_BINS = 60
_VERDICTS = {
    "stays": ("stays", _STAYS),
    "time": ("older than retention.ms", COLORS[1]),
    "size": ("beyond retention.bytes", COLORS[3]),
    "below-start": ("below the log's start", COLORS[2]),
}
_STATES = {
    "clean": "compacted before",
    "dirty": "dirty",
    "too-new": "not yet to be compacted",
    "active": "active",
}
_UNITS_MS = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1000))


def draw(kind: str, directory: Path, profiled: Sequence[Profiled], file: Path) -> None:
    """Draws what `kstore profile` found, `compact` or `retention`. Raises OSError."""
    size = sum(one.size for one in profiled)
    reclaimed = sum(one.reclaimed for one in profiled)
    segments = sum(len(one.segments) for one in profiled)
    with picture(file) as figure:
        title(
            figure,
            f"kstore profile {kind} · {directory.name}",
            f"{_count(len(profiled), 'partition')} · {_count(segments, 'segment')} · "
            f"{size_text(size)}",
            f"{size_text(reclaimed)} to reclaim, {reclaimed / size if size else 0:.0%}",
        )
        largest = sorted(profiled, key=lambda one: one.reclaimed, reverse=True)[:_MAX_ROWS]
        if kind == "compact":
            _draw_compaction(figure, profiled, largest)
        else:
            _draw_retention(figure, profiled, largest)


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# Compaction


def _draw_compaction(
    figure: Figure, profiled: Sequence[Profiled], largest: Sequence[Profiled]
) -> None:
    grid = figure.add_gridspec(2, 2, height_ratios=(1.2, 1), width_ratios=(1.4, 1))
    _strips(figure.add_subplot(grid[0, :]), largest)
    _gain(figure.add_subplot(grid[1, 0]), largest[0])
    _states(figure.add_subplot(grid[1, 1]), profiled)


def _strips(axes: Axes, rows: Sequence[Profiled]) -> None:
    from matplotlib.patches import Patch

    axes.set_title("Each segment, as wide as it is large, filled as far as it stays")
    scale = max(1e9 if max(one.size for one in rows) >= 1e9 else 1e6, 1.0)
    for row, one in enumerate(rows):
        starts, widths, kept, edges = _columns(one.segments, scale)
        bottom = float(len(rows) - 1 - row)
        goes = axes.bar(starts, 0.8, widths, bottom, align="edge", color=_GOES, linewidth=0)
        axes.bar(
            starts,
            [0.8 * share for share in kept],
            widths,
            bottom,
            align="edge",
            color=_STAYS,
            linewidth=0,
        )
        for patch, state in zip(goes, edges, strict=True):
            if state in ("active", "too-new"):
                patch.set_hatch("////")
        for at, text in _borders(one.segments, scale):
            axes.plot([at, at], [bottom - 0.06, bottom + 0.86], color="black", linewidth=1.1)
            if row == 0:
                axes.annotate(
                    text, (at, bottom + 0.86), xytext=(4, 2), textcoords="offset points", fontsize=8
                )
    axes.set_yticks(
        [len(rows) - 1 - row + 0.4 for row in range(len(rows))],
        [f"{one.topic}-{one.partition}" for one in rows],
    )
    axes.set_ylim(-0.15, len(rows) + 0.1)
    axes.set_xlabel("GB of the log" if scale == 1e9 else "MB of the log")
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.legend(
        handles=[Patch(color=_STAYS, label="stays"), Patch(color=_GOES, label="is reclaimed")],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0.2,
    )


def _columns(
    segments: Sequence[SegmentProfile], scale: float
) -> tuple[list[float], list[float], list[float], list[str]]:
    starts, widths, kept, states = [], [], [], []
    at = 0.0
    for one in segments:
        starts.append(at / scale)
        # A hair of white between segments, as long as they are wide enough for it.
        widths.append(one.size / scale * (0.985 if len(segments) < 150 else 1.0))
        kept.append(one.kept_size / one.size if one.size else 0.0)
        states.append(one.verdict)
        at += one.size
    return starts, widths, kept, states


def _borders(segments: Sequence[SegmentProfile], scale: float) -> list[tuple[float, str]]:
    """Where one state ends and the next begins, and what the next is called."""
    found = []
    at, before = 0, segments[0].verdict if segments else ""
    for one in segments:
        if one.verdict != before:
            found.append((at / scale, _STATES[one.verdict]))
            before = one.verdict
        at += one.size
    return found


def _gain(axes: Axes, one: Profiled) -> None:
    """How large the log is up to each of its segments, now and afterwards."""
    axes.set_title(f"{one.topic}-{one.partition}: bytes up to an offset, now and afterwards")
    scale = 1e9 if one.size >= 1e9 else 1e6
    offsets, now, kept = [], [], []
    total_now = total_kept = 0
    for segment in one.segments:
        offsets.append(float(segment.base_offset))
        now.append(total_now / scale)
        kept.append(total_kept / scale)
        total_now += segment.size
        total_kept += segment.kept_size
    axes.fill_between(offsets, kept, now, color=_GOES, alpha=0.6, linewidth=0)
    axes.plot(offsets, now, color=QUIET, linewidth=1.4, label="now")
    axes.plot(offsets, kept, color=_STAYS, linewidth=2.0, label="afterwards")
    axes.set_xlabel("offset")
    axes.set_ylabel("GB" if scale == 1e9 else "MB")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=offsets[0] if offsets else 0)
    axes.xaxis.set_major_formatter(_engineering())
    axes.legend(loc="upper left")


def _states(axes: Axes, profiled: Sequence[Profiled]) -> None:
    """What stays and goes of each kind of segment."""
    axes.set_title("By what the cleaner makes of a segment")
    kept: dict[str, float] = defaultdict(float)
    gone: dict[str, float] = defaultdict(float)
    for one in profiled:
        for segment in one.segments:
            kept[segment.verdict] += segment.kept_size
            gone[segment.verdict] += segment.size - segment.kept_size
    shown = [state for state in _STATES if kept[state] + gone[state]]
    names = [_STATES[state] for state in shown]
    axes.barh(names, [kept[state] for state in shown], color=_STAYS, height=0.6)
    bars = axes.barh(
        names,
        [gone[state] for state in shown],
        left=[kept[state] for state in shown],
        color=_GOES,
        height=0.6,
    )
    axes.bar_label(
        bars,
        [f"{size_text(gone[state])} of {size_text(kept[state] + gone[state])}" for state in shown],
        padding=4,
        fontsize=8.5,
    )
    largest = max((kept[state] + gone[state] for state in shown), default=1.0)
    axes.set_xlim(0, 1.5 * largest)  # room for the texts
    axes.xaxis.set_major_formatter(lambda size, _: size_text(size) if size else "0")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()


# Retention


def _draw_retention(
    figure: Figure, profiled: Sequence[Profiled], largest: Sequence[Profiled]
) -> None:
    grid = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    _ages(figure.add_subplot(grid[0]), profiled)
    _partitions(figure.add_subplot(grid[1]), largest)


def _ages(axes: Axes, profiled: Sequence[Profiled]) -> None:
    """Bytes by the age of the newest record of their segment, counted from the newest of all."""
    axes.set_title("Bytes by age: of a segment, its newest record's")
    everything = [(one, segment) for one in profiled for segment in one.segments]
    newest_ms = max((segment.newest_ms for _, segment in everything), default=0)
    ages = [max(0, newest_ms - segment.newest_ms) for _, segment in everything]
    unit, unit_ms = next(
        (one for one in _UNITS_MS if max(ages, default=0) >= 2 * one[1]), _UNITS_MS[-1]
    )
    widest = max(max(ages, default=0) / unit_ms, 1e-3)
    bottom = [0.0] * _BINS
    width = widest / _BINS
    for verdict, (label, color) in _VERDICTS.items():
        heights = [0.0] * _BINS
        for (_, segment), age in zip(everything, ages, strict=True):
            if segment.verdict == verdict:
                heights[min(_BINS - 1, int(age / unit_ms / width))] += segment.size
        if any(heights):
            starts = [index * width for index in range(_BINS)]
            axes.bar(starts, heights, width * 0.94, bottom, align="edge", color=color, label=label)
            bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
    limits = {one.config.retention_ms for one in profiled if one.config.retention_ms >= 0}
    for limit_ms in sorted(limits)[:3]:
        if limit_ms / unit_ms <= widest:
            axes.axvline(limit_ms / unit_ms, color="black", linewidth=1.2)
            axes.annotate(
                f"retention.ms {limit_ms / unit_ms:,.3g} {unit}",
                (limit_ms / unit_ms, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -10),
                textcoords="offset points",
                fontsize=8.5,
            )
    axes.set_xlabel(f"{unit} older than the newest record")
    axes.set_xlim(0, widest * 1.02)
    axes.yaxis.set_major_formatter(lambda size, _: size_text(size) if size else "0")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)


def _partitions(axes: Axes, largest: Sequence[Profiled]) -> None:
    axes.set_title("Partitions, those with most to reclaim first")
    names = [f"{one.topic}-{one.partition}" for one in largest]
    left = [0.0] * len(largest)
    bars = None
    for verdict, (_, color) in _VERDICTS.items():
        sizes = [
            float(sum(segment.size for segment in one.segments if segment.verdict == verdict))
            for one in largest
        ]
        bars = axes.barh(names, sizes, left=left, color=color, height=0.66)
        left = [before + size for before, size in zip(left, sizes, strict=True)]
    if bars is not None:
        texts = [f"{size_text(one.reclaimed)} of {size_text(one.size)}" for one in largest]
        axes.bar_label(bars, texts, padding=4, fontsize=8.5)
    axes.set_xlim(0, 1.2 * (max(left, default=0) or 1.0))  # room for the texts
    axes.xaxis.set_major_formatter(lambda size, _: size_text(size) if size else "0")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()


def _engineering() -> Formatter:
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")
