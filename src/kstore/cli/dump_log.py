"""`kstore dump-log`: Kafka's DumpLogSegments over `kstore.log.dump`.

Flags and lines are Kafka's. Indexes are verified against their segment as in Kafka's tool; here an
index that does not fit, or does not pass its sanity check, makes the status 1. What can't be read
of a segment is told and is no failure: a dump shows what there is, `kstore check` judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.dump_text import line_of
from kstore.cli.errors import CallError, report, warn
from kstore.cli.options import Json
from kstore.cli.output import json_bytes
from kstore.cli.progress import Working
from kstore.errors import StoreError

__all__ = ["dump_log"]

Row = dict[str, Any]

_INDEXES = (".index", ".timeindex")
_CONTENTS = ("key", "value", "headers")


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What one call of `kstore dump-log` asks for; sizes are in bytes."""

    deep: bool
    contents: bool
    metadata: bool
    verify_only: bool
    sanity_only: bool
    max_size: int | None
    as_json: bool


def dump_log(
    arguments: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="The files to print.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--files", metavar="FILE,...", help="More of them.")
    ] = None,
    deep_iteration: Annotated[
        bool, typer.Option("--deep-iteration", help="Print records, not only batches.")
    ] = False,
    print_data_log: Annotated[
        bool, typer.Option("--print-data-log", help="Print keys and values, too.")
    ] = False,
    skip_record_metadata: Annotated[
        bool, typer.Option("--skip-record-metadata", help="Print of records only those.")
    ] = False,
    verify_index_only: Annotated[
        bool, typer.Option("--verify-index-only", help="Verify indexes, don't print them.")
    ] = False,
    index_sanity_check: Annotated[
        bool,
        typer.Option("--index-sanity-check", help="Only check what a broker checks at its start."),
    ] = False,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", help="Read no more than this of a segment.")
    ] = None,
    json: Json = False,
) -> int:
    """Print log segments, their indexes and a data directory's other files."""
    names = [Path(name) for words in files or () for name in words.split(",") if name]
    paths = [*(arguments or ()), *names]
    if not paths:
        raise CallError("want files to dump")
    options = DumpOptions(
        deep=deep_iteration or print_data_log,
        contents=print_data_log,
        metadata=not skip_record_metadata,
        verify_only=verify_index_only,
        sanity_only=index_sanity_check,
        max_size=max_bytes,
        as_json=json,
    )
    if json:
        with output.json_rows() as write:
            return _dump_all(paths, options, lambda path: _JsonDump(path, options, write))
    return _dump_all(paths, options, lambda path: _TextDump(path, options))


class _Dump:
    """What becomes of the rows of one file."""

    def __init__(self, path: Path, options: DumpOptions) -> None:
        self.path = path
        self.options = options

    def begin(self) -> None: ...

    def row(self, row: Row) -> None:
        raise NotImplementedError

    def end(self, count: int) -> None: ...

    def passed(self) -> None: ...


class _JsonDump(_Dump):
    """Rows as they are, with the file's name first; contents only if asked for."""

    def __init__(self, path: Path, options: DumpOptions, write: Callable[[Row], None]) -> None:
        super().__init__(path, options)
        self._write = write

    def row(self, row: Row) -> None:
        shown = {key: value for key, value in row.items() if key not in _CONTENTS}
        if self.options.contents and row["kind"] == "record":
            shown |= json_bytes("key", row["key"]) | json_bytes("value", row["value"])
            shown["headers"] = [
                {"key": name, **json_bytes("value", value)} for name, value in row["headers"]
            ]
        self._write({"file": str(self.path), **shown})

    def passed(self) -> None:
        self._write({"file": str(self.path), "kind": "sanity_check", "passed": True})


class _TextDump(_Dump):
    """Kafka's lines."""

    def __init__(self, path: Path, options: DumpOptions) -> None:
        super().__init__(path, options)
        self._last_offset: int | None = None
        self._end = 0

    def begin(self) -> None:
        print(f"Dumping {self.path}")
        if self.path.suffix == ".log" and self.path.stem.isdecimal():
            print(f"Log starting offset: {int(self.path.stem)}")

    def row(self, row: Row) -> None:
        if row["kind"] == "fault":
            self._fault(row)
            return
        if row["kind"] == "batch":
            self._end = row["position"] + row["size"]
        elif row["kind"] == "record":
            self._follow(row["offset"])
        print(line_of(row, contents=self.options.contents, metadata=self.options.metadata))

    def end(self, count: int) -> None:
        if not count and self.path.suffix == ".index":
            print(f"{self.path} is empty.")

    def passed(self) -> None:
        print(f"{self.path} passed sanity check.")

    def _fault(self, row: Row) -> None:
        if self.path.suffix in _INDEXES:
            return  # told when the index is verified
        if row["position"] == self._end and self.path.suffix == ".log":
            print(f"Found {row['size']} invalid bytes at the end of {self.path.name}")
        warn(f"{self.path} at position {row['position']}: {row['reason']}")

    def _follow(self, offset: int) -> None:
        last, self._last_offset = self._last_offset, offset
        if last is not None and offset != last + 1:
            warn(f"{self.path}: offset {last} is followed by {offset}")


def _dump_all(
    paths: Sequence[Path], options: DumpOptions, new_dump: Callable[[Path], _Dump]
) -> int:
    failed = False
    for path in paths:
        try:
            sound = _dump_one(new_dump(path), options)
        except StoreError as error:
            report(error)
            sound = False
        failed |= not sound
    return 1 if failed else 0


def _dump_one(dump: _Dump, options: DumpOptions) -> bool:
    """Whether the file, if it is an index, is sound."""
    from kstore.log.dump import dump as rows_of

    path = dump.path
    is_index = path.suffix in _INDEXES
    silent = is_index and (options.sanity_only or options.verify_only)
    size = path.stat().st_size if path.is_file() else None
    count = 0
    last: Row = {}
    with Working(f"dumping {path.name}", total=size, quiet=output.for_people()) as working:
        dump.begin()
        for row in _limited(rows_of(path, options.deep), options.max_size):
            if row["kind"] == "batch":
                working.done(row["position"])
            if row["kind"] != "fault":
                count += 1
                last = row
            if not silent:
                dump.row(row)
        dump.end(count)
    if not is_index:
        return True
    if not options.sanity_only:
        return _verify(path)
    if not count and path.suffix == ".index":
        return True
    return _sane(dump, size or 0, last)


def _limited(rows: Iterator[Row], max_size: int | None) -> Iterator[Row]:
    """The rows up to the first batch that lies beyond so many bytes."""
    for row in rows:
        end = row["position"] + row["size"] if row["kind"] == "batch" else 0
        if max_size is not None and end > max_size:
            return
        yield row


def _sane(dump: _Dump, size: int, last: Row) -> bool:
    """Kafka's `sanityCheck` of an index: whole entries, none before the segment's base offset."""
    from kstore.log.walk import OFFSET_ENTRY, TIME_ENTRY

    entry = OFFSET_ENTRY if dump.path.suffix == ".index" else TIME_ENTRY
    base_offset = int(dump.path.stem)
    if size % entry.size:
        report(f"{dump.path}: the size {size} is no multiple of {entry.size}")
        return False
    if last.get("offset", base_offset) < base_offset:
        report(f"{dump.path}: offset {last['offset']} lies before the base offset {base_offset}")
        return False
    dump.passed()
    return True


def _verify(path: Path) -> bool:
    """Holds the entries of an index against its segment; reports each that does not fit."""
    from kstore.log.check_index import OffsetEntries, TimeEntries
    from kstore.log.faults import Faults
    from kstore.log.files import Files
    from kstore.log.walk import BatchFile

    segment = path.with_suffix(".log")
    if not segment.exists():
        warn(f"{path} is not verified: there is no {segment.name} beside it")
        return True
    files, faults = Files(), Faults()
    kind = OffsetEntries if path.suffix == ".index" else TimeEntries
    entries = kind(files, path, faults, closed=False, base_offset=int(path.stem))
    try:
        with (
            Working(f"verifying {path.name}", total=segment.stat().st_size) as working,
            BatchFile.opened(files, segment) as batches,
        ):
            for batch in batches:
                entries.visit(batch)
                working.done(batch.position)
        if isinstance(entries, OffsetEntries):
            entries.finish()
        else:
            entries.finish(complete=False)
    finally:
        entries.close()
    for fault in faults.all():
        report(fault)
    return not faults.all()
