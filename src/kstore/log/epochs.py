"""Which leader epoch wrote which part of a log: Kafka's LeaderEpochFileCache.

An epoch begins at an offset and ends where the next one begins. Followers and consumers ask for
the end of an epoch to find where their copy left the leader's. Epochs and start offsets rise.

Changes are in memory first: the log writes the file before its next append (`unwritten`), and
syncs it together with its segments. An epoch that was lost so has written nothing durable, or is
known again from the batches that recovery reads. Used by the thread of the log; `sync` may run in
a worker.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from kstore.log.checkpoints import EPOCHS, format_epochs, parse_epochs
from kstore.log.files import Files

__all__ = ["UNDEFINED_EPOCH", "UNDEFINED_EPOCH_OFFSET", "LeaderEpochs"]

UNDEFINED_EPOCH = -1
UNDEFINED_EPOCH_OFFSET = -1


class LeaderEpochs:
    """The epochs of one log."""

    __slots__ = ("_directory", "_entries", "_files", "_in_file", "_unsynced", "unwritten")

    def __init__(self, files: Files, directory: Path) -> None:
        self._files = files
        self._directory = directory
        self._entries: list[tuple[int, int]] = []
        self._in_file: list[tuple[int, int]] = []
        self._unsynced = False
        self.unwritten = False

    @classmethod
    def load(cls, files: Files, directory: Path) -> LeaderEpochs:
        """What the file says, nothing if there is none. Raises ValueError if it is malformed."""
        epochs = cls(files, directory)
        for epoch, start_offset in parse_epochs(files.read_file(directory / EPOCHS) or b""):
            epochs.assign(epoch, start_offset)
        epochs._in_file = epochs.entries()
        epochs.unwritten = False
        return epochs

    @property
    def latest(self) -> int:
        """The latest epoch, -1 if there is none."""
        return self._entries[-1][0] if self._entries else UNDEFINED_EPOCH

    def entries(self) -> list[tuple[int, int]]:
        """(epoch, start offset), the oldest first."""
        return list(self._entries)

    def assign(self, epoch: int, start_offset: int) -> None:
        """Batches from `start_offset` on are of `epoch`, if that is news.

        Entries that contradict it go: an epoch that wrote nothing, or one of another history.
        """
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"epoch {epoch} can't begin at offset {start_offset}")
        entries = self._entries
        if entries and entries[-1][0] == epoch and entries[-1][1] <= start_offset:
            return
        while entries and (entries[-1][0] >= epoch or entries[-1][1] >= start_offset):
            entries.pop()
        entries.append((epoch, start_offset))
        self._changed()

    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest epoch that is at most `epoch`, its end offset), or (-1, -1) if unknown."""
        if epoch == UNDEFINED_EPOCH or epoch > self.latest:
            return UNDEFINED_EPOCH, UNDEFINED_EPOCH_OFFSET
        if epoch == self.latest:
            return epoch, log_end_offset
        above = bisect_right(self._entries, epoch, key=lambda entry: entry[0])
        end_offset = self._entries[above][1]
        # An epoch older than all that are known ended before the first one of them.
        return (self._entries[above - 1][0] if above else epoch), end_offset

    def epoch_at(self, offset: int) -> int:
        """The epoch that `offset` belongs to, -1 if that is before all known ones."""
        above = bisect_right(self._entries, offset, key=lambda entry: entry[1])
        return self._entries[above - 1][0] if above else UNDEFINED_EPOCH

    def truncate_from_end(self, end_offset: int) -> None:
        """The log ends at `end_offset` now."""
        kept = [entry for entry in self._entries if entry[1] < end_offset]
        if len(kept) < len(self._entries):
            self._entries = kept
            self._changed()

    def truncate_from_start(self, start_offset: int) -> None:
        """The log starts at `start_offset` now: the epoch that holds it begins there."""
        below = bisect_right(self._entries, start_offset, key=lambda entry: entry[1])
        if below and (below > 1 or self._entries[0][1] < start_offset):
            self._entries[:below] = [(self._entries[below - 1][0], start_offset)]
            self._changed()

    def clear(self) -> None:
        if self._entries:
            self._entries = []
            self._changed()

    def _changed(self) -> None:
        self.unwritten = self._entries != self._in_file

    def moved(self, directory: Path) -> None:
        """The log's directory has a new name."""
        self._directory = directory

    def write(self) -> None:
        """Replaces the file; a power cut may still undo that until `sync`. Raises OSError."""
        data = format_epochs(self._entries)
        self._files.replace_file(self._directory / EPOCHS, data, durable=False)
        self._in_file = self.entries()
        self.unwritten = False
        self._unsynced = True

    def sync(self) -> None:
        """Returns when what was written is on the disk. Raises OSError."""
        if self._unsynced:
            self._unsynced = False
            try:
                with self._files.opened(self._directory / EPOCHS) as descriptor:
                    self._files.sync(descriptor)
                self._files.sync_directory(self._directory)
            except OSError:
                self._unsynced = True
                raise
