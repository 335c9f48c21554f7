"""What a crash leaves in a partition's directory, and what becomes of it before loading.

| left behind                   | what it was                                 | becomes           |
|-------------------------------|---------------------------------------------|-------------------|
| *.deleted                     | a segment on its way out, or made ahead     | deleted           |
| *.cleaned                     | the unfinished output of a compaction       | deleted           |
| *.swap, from the base of the  | part of a split that was not finished       | deleted           |
|   first .cleaned on           |                                             |                   |
| other *.swap                  | a finished compaction, not yet in place     | replaces what it  |
|                               |                                             |   covers          |
| *.tmp                         | a small file that was not finished          | deleted           |
| an index without its log      | a segment half made, or half deleted        | deleted           |
| *.log, or another suffix of   | nothing that we or Kafka have made          | set aside as      |
|   ours, behind no offset      |                                             |   *.stray         |

The directory is read once if nothing of that is there. Runs on the thread that loads the log.
Source: Kafka's LogLoader.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from kstore.log.aside import STRAY, put_aside
from kstore.log.handles import Handles
from kstore.log.names import (
    CLEANED,
    DELETED,
    INDEX,
    LOG,
    SNAPSHOT,
    SWAP,
    TIME_INDEX,
    TRANSACTION_INDEX,
    parse_file,
)
from kstore.log.segment import Segment

__all__ = ["Contents", "sweep"]

logger = logging.getLogger("kstore.log")

_INDEXES = (INDEX, TIME_INDEX, TRANSACTION_INDEX)
_OURS = (LOG, *_INDEXES, SNAPSHOT)
_Parsed = dict[str, tuple[int, str, str] | None]


class Contents(NamedTuple):
    """The files of a partition's directory: `sizes` by name, and the offsets of its segments
    (`bases`) and of its producer snapshots, the lowest first."""

    sizes: dict[str, int]
    bases: list[int]
    snapshots: list[int]


def sweep(handles: Handles, directory: Path) -> Contents:
    """Brings the directory into order; what is left. Raises OSError."""
    files = handles.files
    sizes = dict(files.scan(directory))
    parsed = {name: parse_file(name) for name in sizes}
    if _is_in_order(parsed):
        return _contents(sizes, parsed)
    swaps: list[str] = []
    cleaned: list[int] = []
    for name, found in parsed.items():
        # Kafka's own log of metadata keeps snapshots that it deletes itself.
        if name.endswith(".checkpoint" + DELETED):
            continue
        if name.endswith((DELETED, ".tmp")):
            files.delete(directory / name)
        elif found is None:
            if name.endswith(_OURS):
                put_aside(files, directory / name, STRAY, "no segment has such a name")
        elif found[2] == CLEANED:
            cleaned.append(found[0])
            files.delete(directory / name)
        elif found[2] == SWAP:
            swaps.append(name)
    _finish_swaps(handles, directory, swaps, min(cleaned, default=None))
    sizes = _without_orphans(handles, directory)
    return _contents(sizes, {name: parse_file(name) for name in sizes})


def _is_in_order(parsed: _Parsed) -> bool:
    """Is there nothing to be done, as after a clean stop?"""
    logs = {found[0] for found in parsed.values() if found and found[1:] == (LOG, "")}
    for name, found in parsed.items():
        if found is None:
            if name.endswith((DELETED, ".tmp", *_OURS)):
                return False
        elif found[2] or (found[1] in _INDEXES and found[0] not in logs):
            return False
    return True


def _contents(sizes: dict[str, int], parsed: _Parsed) -> Contents:
    def offsets(suffix: str) -> list[int]:
        return [found[0] for found in parsed.values() if found and found[1:] == (suffix, "")]

    return Contents(sizes, offsets(LOG), offsets(SNAPSHOT))


def _finish_swaps(
    handles: Handles, directory: Path, swaps: list[str], first_cleaned: int | None
) -> None:
    files = handles.files
    first, end = None, -1
    kept = []
    for name in swaps:
        parsed = parse_file(name)
        assert parsed is not None
        base_offset, suffix, _ = parsed
        if first_cleaned is not None and base_offset >= first_cleaned:
            files.delete(directory / name)
            continue
        kept.append((name, base_offset, suffix))
        if suffix == LOG:
            first = base_offset if first is None else min(first, base_offset)
            end = max(end, _end_of_swap(handles, directory / name, base_offset))
    for name, _ in files.scan(directory):
        parsed = parse_file(name)
        if first is None or parsed is None or parsed[2] or parsed[1] == SNAPSHOT:
            continue
        if first <= parsed[0] < end:
            logger.info("deleted %s, which a compaction has replaced", directory / name)
            files.delete(directory / name)
    for name, _, _ in kept:
        logger.info("finished the swap of %s", directory / name)
        files.rename(directory / name, directory / name.removesuffix(SWAP))


def _end_of_swap(handles: Handles, path: Path, base_offset: int) -> int:
    """The offset behind the last batch of a segment that is named `.swap`."""
    handle = handles.get(path)
    segment = Segment(handles, path.parent, base_offset, size=handle.size(), created_ms=0)
    segment.named(SWAP)
    end = base_offset
    for header in segment.headers():
        end = header.last_offset + 1
    handles.forget(path)
    return end


def _without_orphans(handles: Handles, directory: Path) -> dict[str, int]:
    left = dict(handles.files.scan(directory))
    bases = {parsed[0] for name in left if (parsed := parse_file(name)) and parsed[1:] == (LOG, "")}
    for name in list(left):
        parsed = parse_file(name)
        if parsed and not parsed[2] and parsed[1] in _INDEXES and parsed[0] not in bases:
            logger.warning("deleted %s, an index without its log", directory / name)
            handles.files.delete(directory / name)
            del left[name]
    return left
