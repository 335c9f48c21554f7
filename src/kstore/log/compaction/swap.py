"""Putting the output of a compaction in the place of the segments that it was made of.

| step       | by     | names                                   | a crash afterwards leaves       |
|------------|--------|-----------------------------------------|---------------------------------|
| written    | worker | N.cleaned, on the disk                  | the old segments                |
| named      | worker | N.cleaned → N.swap, on the disk         | the new one: what it covers goes|
| take_in    | log    | none; readers go to N.swap              | the same                        |
| retire     | worker | old ones → .deleted, on the disk        | the same                        |
| finish     | log    | N.swap → N                              | the new one                     |
| remove     | worker | .deleted are gone                       | the new one                     |

While any `.cleaned` is left its `.swap` counts for nothing, so the first rename that is lost keeps
the old segments. Readers hold the files that they read, by whatever name. What becomes of each
state at load stands in `log.sweep`. Source: Kafka's LocalLog.replaceSegments.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from kstore.log.names import DELETED, SNAPSHOT, SWAP, file_name
from kstore.log.segment import Segment
from kstore.log.state import LogState

__all__ = ["Swap"]


class Swap:
    """One new segment for some old ones. Steps are taken in order, each once; all raise OSError."""

    def __init__(self, log: LogState, old: list[Segment], new: Segment) -> None:
        self._log = log
        self._old = old
        self._new = new
        self._retired: list[Path] = []

    def name(self) -> None:
        """Says that the new segment is complete. A worker."""
        self._new.rename(SWAP)
        self._log.handles.sync_directory(self._new.directory)

    def take_in(self) -> None:
        """From now on readers find the new segment. Thread of the log."""
        self._log.segments.replace(self._old, self._new)
        for segment in self._old:
            segment.replaced = True
            self._log.handles.forget(*segment.paths())

    def retire(self) -> None:
        """Takes the names of the old segments away, their snapshots of producers too. A worker."""
        files = self._log.files
        paths = [path for segment in self._old for path in segment.paths()]
        paths += [
            segment.directory / file_name(segment.base_offset, SNAPSHOT)
            for segment in self._old[1:]
        ]
        for path in paths:
            deleted = path.with_name(path.name + DELETED)
            with suppress(FileNotFoundError):
                files.rename(path, deleted)
                self._retired.append(deleted)
        self._log.handles.sync_directory(self._new.directory)

    def finish(self) -> None:
        """The new segment gets its final names. Thread of the log."""
        self._log.handles.forget(*(path for segment in self._old for path in segment.paths()))
        self._new.rename("")

    def remove(self) -> None:
        """Removes the files of the old segments; slices of them stay readable. A worker."""
        files = self._log.files
        self._log.handles.sync_directory(self._new.directory)
        for path in self._retired:
            files.delete(path, missing_ok=True)
