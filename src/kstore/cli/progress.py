"""Progress of work that takes longer than two seconds: a bar on stderr, if that is a terminal.

Rich, which draws it from a thread of its own, is loaded only when the two seconds are over.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Working"]

_PATIENCE_S = 2.0


class Working:
    """Shows, for the length of a `with` block, what is done; `total` may be unknown.

    Nothing is shown without a terminal, or if `quiet`: where stdout goes to the same terminal, a
    bar would stand in its way. `done` belongs to the thread that works.
    """

    def __init__(self, title: str, *, total: int | None = None, quiet: bool = False) -> None:
        self._title = title
        self._total = total
        self._timer: threading.Timer | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if _is_watched() and not quiet:
            self._timer = threading.Timer(_PATIENCE_S, self._show)
            self._timer.daemon = True

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._bar is not None:
            self._bar.stop()

    def done(self, count: int) -> None:
        """Says how much of the total is done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=count)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        if self._total is not None:
            columns.insert(2, BarColumn())
        bar = Progress(*columns, console=Console(stderr=True, force_terminal=True), transient=True)
        self._task = bar.add_task(self._title, total=self._total)
        bar.start()
        self._bar = bar


def _is_watched() -> bool:
    return sys.stderr.isatty()
