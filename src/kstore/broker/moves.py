"""Partitions on their way from one data directory of this broker to another (KIP-113).

A copy is filled beside the log, which goes on being read and written: chunks are read in a worker
and appended on the loop. Once it has caught up it is synced in a worker, gets the few batches that
came meanwhile, and takes the log's place in one turn of the loop. A crash leaves the log or the
complete copy; a copy that was not complete is begun anew at the next start. A move ends without a
word to the client: DescribeLogDirs tells how far it is, as in Kafka.

A move is given up when its partition is deleted or a directory of the two fails. Thread: the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kstore._native.batch import BatchError, walk
from kstore.broker.directories import Directories
from kstore.broker.log_dirs import LogDirs
from kstore.broker.partition import Partition
from kstore.errors import KafkaError
from kstore.log.group_commit import synced_elsewhere
from kstore.log.log import Log
from kstore.log.slices import Slice
from kstore.runtime import Later, Runtime

__all__ = ["Moves"]

log = logging.getLogger("kstore.moves")

CHUNK_SIZE = 256 << 10
"""Bytes that are appended to a copy in one turn of the loop."""
TAIL_SIZE = 4 << 20
"""Bytes that came during the sync, and may be appended and synced in the turn of the loop in which
the copy takes the log's place; with more it is synced in a worker again."""
_NEVER = (1 << 63) - 1


class Moves:
    """The moves that are under way: at most one of a partition."""

    def __init__(
        self,
        runtime: Runtime,
        log_dirs: LogDirs,
        directories: Directories,
        purge: Callable[[], None],
    ) -> None:
        """`purge` has directories that were given up removed, some time later."""
        self.runtime = runtime
        self.log_dirs = log_dirs
        self.directories = directories
        self.purge = purge
        self._moves: dict[tuple[str, int], _Move] = {}
        log_dirs.subscribe(lambda _: self._drop_dead())

    def start(self, partition: Partition, path: Path) -> None:
        """Has a partition move to a data directory, and to no other one that was asked before.

        Raises KafkaError if the partition can't be read.
        """
        key = partition.topic, partition.index
        under_way = self._moves.get(key)
        if under_way is not None:
            if under_way.path == path:
                return
            self.stop(*key)
        if partition.log.directory.parent != path:
            log.info("moving partition=%s-%d to=%s", *key, path)
            self._moves[key] = move = _Move(self, partition, path)
            try:
                move.begin()
            except KafkaError:
                move.give_up()
                raise

    def stop(self, topic: str, index: int) -> None:
        """Gives up the move of a partition, if there is one."""
        move = self._moves.pop((topic, index), None)
        if move is not None:
            move.give_up()

    def close(self) -> None:
        """Lets all moves stand where they are; they are begun anew at the next start."""
        for move in self._moves.values():
            move.stopped = True
        self._moves.clear()

    def _drop_dead(self) -> None:
        for key, move in list(self._moves.items()):
            if move.is_dead:
                self.stop(*key)

    def ended(self, move: _Move) -> None:
        key = move.partition.topic, move.partition.index
        if self._moves.get(key) is move:
            del self._moves[key]

    def discard(self, future: Log) -> None:
        """Removes a copy that is not wanted."""
        self.log_dirs.take_future(future)
        self.directories.do(lambda: self.log_dirs.discard(future)).then(_told)
        self.purge()


class _Move:
    """One partition's. After each step in a worker it is seen whether it is still wanted."""

    def __init__(self, moves: Moves, partition: Partition, path: Path) -> None:
        self.partition = partition
        self.path = path
        self.stopped = False
        self._moves = moves
        self._log_dirs = moves.log_dirs
        self._source = partition.log
        self._future: Log | None = None

    @property
    def is_dead(self) -> bool:
        future = self._future
        return self._source.closed or (future is not None and future.closed)

    def give_up(self) -> None:
        """Ends the move and removes the copy."""
        self.stopped = True
        future, self._future = self._future, None
        self._moves.ended(self)
        if future is not None:
            self._moves.discard(future)

    def begin(self) -> None:
        """Makes the copy, empty, from the first batch on that is to be there. Raises KafkaError."""
        source = self._source
        first = next(source.batches(source.log_start_offset), None)
        start = source.log_end_offset if first is None else first.base_offset
        # Nobody waits for a sync of the copy: it is synced once, at the end.
        config = replace(source.config, flush_messages=_NEVER, flush_ms=_NEVER)

        def made(future: Log) -> None:
            if self.stopped:
                self._moves.discard(future)
                return
            self._future = future
            self._log_dirs.adopt_future(future)
            self._fill()

        self._step(
            self._moves.directories.do(
                lambda: self._log_dirs.prepare_future(source, self.path, config, start)
            ),
            made,
            wanted_always=True,
        )

    def _fill(self) -> None:
        """Reads the next chunk in a worker; without one, the copy has caught up."""
        future = self._copy()
        if self._source.log_start_offset > future.log_end_offset:
            # All that was copied is deleted by now.
            self._future = None
            self._moves.discard(future)
            self.begin()
            return
        chunk = self._read(future.log_end_offset)
        if chunk is None:
            self._seal()
            return

        def append(data: bytes) -> None:
            self._append(data)
            self._fill()

        self._step(self._moves.runtime.run_in_worker(chunk.read), append)

    def _seal(self) -> None:
        future, source = self._copy(), self._source
        future.advance_log_start(source.log_start_offset)
        start = source.log_start_offset

        def sealed(_: None) -> None:
            if start != source.log_start_offset:
                self._fill()
                return
            left = TAIL_SIZE
            while left > 0 and (chunk := self._read(future.log_end_offset)) is not None:
                self._append(chunk.read())
                left -= chunk.size
            if future.log_end_offset < source.log_end_offset:
                self._fill()
            else:
                self._take_place()

        self._step(
            self._moves.runtime.run_in_worker(lambda: self._log_dirs.seal_future(source, future)),
            sealed,
        )

    def _take_place(self) -> None:
        future, source, partition = self._copy(), self._source, self.partition
        future.producers = source.producers
        future.assign_leader_epoch(source.leader_epoch)
        self._log_dirs.replace(source, future)
        future.reconfigure(source.config)
        partition.move_to(future)
        synced_elsewhere(source)
        source.stop_timer()
        log.info("moved partition=%s to=%s", future.name, self.path)
        self._future = None
        self._moves.ended(self)
        self._moves.directories.do(lambda: self._log_dirs.drop_source(source, future)).then(_told)
        self._moves.purge()

    def _read(self, offset: int) -> Slice | None:
        """Batches from `offset` on, at least one whole one; None at the end."""
        end = self._source.log_end_offset
        return None if offset >= end else self._source.read(offset, CHUNK_SIZE, upto_offset=end)

    def _append(self, data: bytes) -> None:
        """Appends the whole batches in `data`; raises KafkaError if there is none."""
        size = 0
        try:
            for header in walk(data, crc=False):
                size += header.size
        except BatchError:
            if not size:
                raise
        self._copy().append_verbatim(memoryview(data)[:size])

    def _copy(self) -> Log:
        assert self._future is not None
        return self._future

    def _step(
        self, work: Later[object], then: Callable[..., None], *, wanted_always: bool = False
    ) -> None:
        def done(later: Later[object]) -> None:
            if self.stopped and not wanted_always:
                return
            try:
                then(later.result())
            except (KafkaError, OSError, BatchError) as error:
                log.error("move given up partition=%s reason=%s", self._source.name, error)
                if not self.stopped:
                    self.give_up()

        work.then(done)


def _told(done: Later[Any]) -> None:
    if done.error is not None:
        log.error("directory of a moved partition not removed reason=%s", done.error)
