"""Opening a log: from a directory of files to a log that can be appended to.

After a clean stop nothing is scanned but the end of the last segment. After any other, the segment
that holds the recovery point and all later ones are recovered; at the first damage the log ends,
and later segments are set aside. Then epochs and producers are brought to that end. All damage is
logged, and kept in `log.faults`.

`LogLoad` does it in three steps, so that `startup` can recover segments of many logs side by side:
`find`, `recover` for each of `unclean`, in any order and in any threads, and `finish`. Uses neither
loop nor workers. Source: Kafka's LogLoader.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kstore.errors import CorruptLogError
from kstore.log.aside import CORRUPT, STRAY, put_aside
from kstore.log.checkpoints import EPOCHS
from kstore.log.epochs import LeaderEpochs
from kstore.log.flush import flush
from kstore.log.names import INDEX, LOG, TIME_INDEX, TRANSACTION_INDEX, file_name
from kstore.log.properties import PARTITION_METADATA, parse_partition_metadata
from kstore.log.recovery import Recovered, cut_off, recover_segment
from kstore.log.segment import Segment
from kstore.log.snapshots import rebuild_producers, remove_stray_snapshots
from kstore.log.state import LogState
from kstore.log.sweep import Contents, sweep

__all__ = ["LogLoad"]

logger = logging.getLogger("kstore.log")


class LogLoad:
    """The loading of one log, which is new and knows its directory.

    `unclean` are the segments to be recovered, known after `find`. Each step raises OSError,
    ValueError, StoreError or KafkaError if the log can't be opened.
    """

    __slots__ = (
        "_clean",
        "_end_offset",
        "_first_unclean",
        "_log_start_offset",
        "_recovered",
        "_recovery_point",
        "_segments",
        "_snapshots",
        "log",
        "unclean",
    )

    def __init__(
        self, log: LogState, *, clean: bool, recovery_point: int, log_start_offset: int
    ) -> None:
        """The offsets are those of the checkpoints."""
        self.log = log
        self.unclean: list[Segment] = []
        self._clean = clean
        self._recovery_point = recovery_point
        self._log_start_offset = log_start_offset
        self._segments: list[Segment] = []
        self._snapshots: list[int] = []
        self._first_unclean = 0
        self._end_offset = -1
        self._recovered: dict[Segment, Recovered] = {}

    # What is there

    def find(self) -> None:
        """Brings the directory into order and sees what has to be recovered."""
        log = self.log
        contents = sweep(log.handles, log.directory)
        log.has_aborted = any(name.endswith(TRANSACTION_INDEX) for name in contents.sizes)
        if PARTITION_METADATA in contents.sizes:
            data = log.files.read_file(log.directory / PARTITION_METADATA)
            log.topic_id = parse_partition_metadata(data or b"")
        if EPOCHS in contents.sizes:
            self._load_epochs(is_empty=not contents.sizes[EPOCHS])
        self._segments = [self._segment(contents, base_offset) for base_offset in contents.bases]
        self._snapshots = contents.snapshots
        self._find_unclean(contents)

    def _load_epochs(self, *, is_empty: bool) -> None:
        log = self.log
        try:
            log.epochs = LeaderEpochs.load(log.files, log.directory)
        except ValueError as error:
            # A power cut can leave this file behind in pieces. All batches together tell it again.
            put_aside(log.files, log.directory / EPOCHS, CORRUPT, error)
            self._distrust(error)
            return
        if not self._clean and is_empty:
            # So too if its name came to the disk before its bytes. Kafka makes an empty one itself.
            self._recovery_point = 0

    def _distrust(self, error: Exception) -> None:
        logger.warning("recovering all of %s: %s", self.log.directory, error)
        self._clean, self._recovery_point = False, 0

    def _segment(self, contents: Contents, base_offset: int) -> Segment:
        log = self.log
        size = contents.sizes[file_name(base_offset, LOG)]
        segment = Segment(
            log.handles, log.directory, base_offset, size=size, created_ms=log.runtime.time_ms()
        )
        for index, suffix in ((segment.offsets, INDEX), (segment.times, TIME_INDEX)):
            index.found(contents.sizes.get(file_name(base_offset, suffix), -1))
        return segment

    def _find_unclean(self, contents: Contents) -> None:
        segments = self._segments
        if self._clean and segments and segments[-1].has_indexes:
            try:
                self._end_offset = segments[-1].next_offset()
            except CorruptLogError as error:
                # A clean stop leaves sound files; something else has touched these since.
                self._distrust(error)
        self._first_unclean = len(segments)
        if not self._clean:
            covered = [base <= self._recovery_point for base in contents.bases]
            self._first_unclean = max(0, sum(covered) - 1)
        bare = [one for one in segments[: self._first_unclean] if not one.has_indexes]
        for segment in bare:
            logger.warning("rebuilding the indexes of %s", segment.path)
        self.unclean = [*bare, *segments[self._first_unclean :]]

    # What was found

    def recover(self, segment: Segment, told: Callable[[int], None]) -> None:
        """Recovers one of `unclean`; see `recover_segment`. Any thread."""
        self._recovered[segment] = recover_segment(self.log, segment, told)

    def finish(self) -> None:
        """Opens the log; all of `unclean` must be recovered."""
        log = self.log
        end_offset = self._take_recovered()
        start_offset = self._log_start_offset
        for segment in self._segments:
            log.segments.add(segment)
        if self._segments and end_offset < start_offset:
            _drop_all(log, end_offset, start_offset)
        if not len(log.segments):
            end_offset = start_offset
            now_ms = log.runtime.time_ms()
            log.segments.add(Segment.create(log.handles, log.directory, end_offset, now_ms))
        log.log_end_offset = end_offset
        log.log_start_offset = max(start_offset, log.segments.first.base_offset)
        log.recovery_point = end_offset if self._clean else min(self._recovery_point, end_offset)
        log.epochs.truncate_from_end(end_offset)
        log.epochs.truncate_from_start(start_offset)
        log.leader_epoch = log.epochs.latest
        recovered = [one for one in log.segments.all() if one in self._recovered]
        for segment in recovered:
            # It was cut, and its indexes are new: nobody has synced that yet.
            log.recovery_point = min(log.recovery_point, segment.base_offset)
        log.unfinished = [one for one in recovered if not one.indexes_finished]
        rebuild_producers(
            log,
            end_offset,
            snapshots=remove_stray_snapshots(log, self._snapshots),
            recovered={one: self._recovered[one].batches for one in recovered},
            after_clean_stop=self._clean,
        )
        if log.config.kstore_acks_all_flush:
            # What was found is shown to consumers at once, so it has to be as durable as the rest.
            flush(log)

    def _take_recovered(self) -> int:
        """Ends the log where its first damage is, if there is any; the offset where it ends."""
        log, segments = self.log, self._segments
        if self._first_unclean < len(segments):
            # The batches that were read know better.
            log.epochs.truncate_from_end(segments[self._first_unclean].base_offset)
        for index, segment in enumerate(segments):
            found = self._recovered.get(segment)
            if found is None:
                continue
            for epoch, start_offset in found.epochs:
                if epoch > log.epochs.latest:
                    log.epochs.assign(epoch, start_offset)
            cut_off(log, segment, found)
            later = segments[index + 1 :] if index >= self._first_unclean else []
            if _is_damaged(log, segment, found, later):
                _set_aside(log, later)
                # What goes here must not come back when other batches have its offsets.
                log.files.sync(log.handles.get(segment.path).descriptor)
                log.handles.sync_directory(log.directory)
                if later:
                    del segments[index + 1 :]
                    break
        if segments and segments[-1] in self._recovered:
            return self._recovered[segments[-1]].next_offset
        return self._end_offset


def _is_damaged(log: LogState, segment: Segment, found: Recovered, later: list[Segment]) -> bool:
    """Is there damage in this segment, so that nothing behind it can be kept?"""
    fault, cut_size = found.fault, found.cut_size
    if later and found.zero_size > 0 and later[0].base_offset != found.next_offset:
        # Preallocated room, but the next segment begins at a later offset: batches were here.
        fault = CorruptLogError(str(segment.path), found.size, "the batches here were lost")
        cut_size = found.zero_size
    if fault is None:
        return False
    log.faults.append(fault)
    logger.warning(
        "cut off %d bytes: %s; the segment ends at offset %d now",
        cut_size,
        fault,
        found.next_offset,
    )
    return True


def _set_aside(log: LogState, segments: list[Segment]) -> None:
    """From the last one on, so that a crash leaves a log without a hole."""
    for segment in reversed(segments):
        put_aside(log.files, segment.path, STRAY, "it is behind the damage")
        segment.delete()


def _drop_all(log: LogState, end_offset: int, log_start_offset: int) -> None:
    logger.warning(
        "deleting all segments of %s: the log ends at %d, before its start at %d",
        log.directory,
        end_offset,
        log_start_offset,
    )
    while len(log.segments):
        log.segments.remove_last().delete()
    log.epochs.clear()
