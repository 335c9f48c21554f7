"""What all pictures of the command have in common. matplotlib is loaded only when one is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kstore.cli.errors import CallError, CommandError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "QUIET", "check_plot", "picture", "size_text", "title"]

COLORS = ("#2563a8", "#c2571a", "#2d8a5f", "#8a3f9c")
QUIET = "#6b7280"

_SUFFIXES = (".png", ".svg", ".pdf")
_SIZE_INCHES = (10.0, 6.4)
_DPI = 100
_STYLE: Any = {
    "font.size": 9.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def check_plot(file: Path) -> None:
    """Whether a plot can be drawn there, asked before the work. Raises `CommandError`."""
    if file.suffix.lower() not in _SUFFIXES:
        raise CallError(f"--plot {file}: want a name that ends in {', '.join(_SUFFIXES)}")
    if not file.absolute().parent.is_dir():
        raise CommandError(f"--plot {file}: no such directory")
    try:
        import_module("matplotlib")
    except ImportError:
        raise CommandError("--plot needs matplotlib: pip install 'kstore[plots]'") from None


@contextmanager
def picture(file: Path) -> Iterator[Figure]:
    """A figure that is written to `file` when it has been drawn. Raises OSError."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
        yield figure
        figure.savefig(file)


def title(figure: Figure, text: str, below: str, corner: str = "") -> None:
    """What the picture shows, how it was made, and in the corner what is to be remembered."""
    figure.suptitle(f"{text}\n", x=0.012, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.0125, 0.945, below, ha="left", va="center", fontsize=9, color=QUIET)
    if corner:
        figure.text(0.99, 0.97, corner, ha="right", va="center", fontsize=11)


def size_text(size: float) -> str:
    """`12 bytes`, `3.45 MB`, `1.2 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= factor:
            return f"{size / factor:,.3g} {unit}"
    return f"{size:.0f} bytes"
