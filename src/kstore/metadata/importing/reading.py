"""Reads Kafka's metadata from `__cluster_metadata-0`: its newest snapshot, and the log behind it.

A snapshot, `<end offset>-<epoch>.checkpoint`, holds all that counts before its offset, between a
header and a footer; the log is made of segments as any other. Nothing is changed, and memory is
bounded by what the metadata are and the largest batch. All of it must be there and sound, but for
the end of a log that was not closed cleanly. Any thread.

Sources: Kafka's Snapshots, KafkaMetadataLog, RecordsSnapshotReader.
"""

from __future__ import annotations

import re
from pathlib import Path

from kstore.errors import KafkaError
from kstore.log.files import Files
from kstore.log.names import LOG, file_name, parse_file
from kstore.log.records import ControlType, Record, batch_records, parse_control_type
from kstore.log.walk import BatchFile, FileBatch
from kstore.metadata.importing.metadata import KafkaMetadata, Replay, UnreadableMetadataError
from kstore.metadata.importing.records import decode_record
from kstore.wire.codec import DecodeError

__all__ = ["read_metadata"]

_SNAPSHOT = re.compile(r"([0-9]{20})-([0-9]{10})\.checkpoint")


def read_metadata(files: Files, directory: Path, *, closed: bool) -> KafkaMetadata:
    """The metadata in `directory`; `closed`: Kafka has closed it cleanly.

    Raises UnreadableMetadataError, OSError.
    """
    names = [name for name, _ in files.scan(directory)]
    replay = Replay()
    start = _read_snapshot(files, directory, names, replay)
    torn_size = _read_log(files, directory, names, start, replay, closed=closed)
    return replay.finish(torn_size)


def _read_snapshot(files: Files, directory: Path, names: list[str], replay: Replay) -> int:
    """Replays the newest snapshot; the offset where it ends, 0 if there is none."""
    found = [match for name in names if (match := _SNAPSHOT.fullmatch(name))]
    if not found:
        return 0
    newest = max(found, key=lambda match: (int(match[1]), int(match[2])))
    path = directory / newest[0]
    last = ControlType.UNKNOWN
    with BatchFile.opened(files, path) as batches:
        for batch in batches:
            if not batch.is_sound:
                raise _unreadable(path, batch.position, "the CRC does not match")
            for record in _records(path, batch):
                if not batch.header.is_control:
                    _take(path, record, replay)
                    last = ControlType.UNKNOWN
                else:
                    last = _control_type(path, record)
        if batches.fault:
            raise _unreadable(path, batches.position, batches.fault)
    if last is not ControlType.SNAPSHOT_FOOTER:
        raise UnreadableMetadataError(f"the snapshot {path} has no end")
    return int(newest[1])


def _read_log(
    files: Files,
    directory: Path,
    names: list[str],
    start: int,
    replay: Replay,
    *,
    closed: bool,
) -> int:
    """Replays what the log holds from `start` on; the bytes that are torn off at its end."""
    parsed = [found for name in names if (found := parse_file(name)) and found[1:] == (LOG, "")]
    bases = sorted(base for base, _, _ in parsed)
    older = [base for base in bases if base <= start]
    if not older:
        raise UnreadableMetadataError(f"the log in {directory} lacks what follows offset {start}")
    offset, torn_size = older[-1], 0
    for base in bases[len(older) - 1 :]:
        path = directory / file_name(base, LOG)
        if base != offset:
            raise UnreadableMetadataError(f"{path} is not what follows offset {offset}")
        may_be_torn = base == bases[-1] and not closed
        offset, torn_size = _read_segment(files, path, start, replay, may_be_torn=may_be_torn)
    return torn_size


def _read_segment(
    files: Files, path: Path, start: int, replay: Replay, *, may_be_torn: bool
) -> tuple[int, int]:
    """Replays a segment's records from `start` on; the offset behind it, and the size of what is
    no batch at its end."""
    offset, fault = int(path.stem), ""
    with BatchFile.opened(files, path) as batches:
        for batch in batches:
            if not batch.is_sound:
                fault = "the CRC does not match"
                break
            header = batch.header
            if header.base_offset != offset:
                raise _unreadable(path, batch.position, f"this is not what follows {offset}")
            offset = header.last_offset + 1
            if offset > start and not header.is_control:
                for record in _records(path, batch):
                    if record.offset >= start:
                        _take(path, record, replay)
        torn_size = batches.size - batches.position
        if torn_size and not may_be_torn:
            raise _unreadable(path, batches.position, fault or batches.fault)
        return offset, torn_size


def _records(path: Path, batch: FileBatch) -> list[Record]:
    try:
        return batch_records(batch.header, batch.data)
    except KafkaError as error:
        raise _unreadable(path, batch.position, error.message) from None


def _take(path: Path, record: Record, replay: Replay) -> None:
    try:
        replay.take(decode_record(bytes(record.value or b"")))
    except DecodeError as error:
        raise UnreadableMetadataError(
            f"{path}: the record at offset {record.offset}: {error}"
        ) from None


def _control_type(path: Path, record: Record) -> ControlType:
    try:
        return parse_control_type(record)
    except KafkaError as error:
        raise UnreadableMetadataError(f"{path}: {error.message}") from None


def _unreadable(path: Path, position: int, reason: str) -> UnreadableMetadataError:
    return UnreadableMetadataError(f"{path} at position {position}: {reason}")
