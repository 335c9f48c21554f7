"""What a cluster's metadata says, read beside a broker that is using it.

The broker holds its file exclusively, so it is copied, with its write-ahead log, and the copy is
opened. No lock is taken, and nothing in the data directory is touched. A copy that was made while
the broker wrote may be torn: SQLite notices, and it is made again. Any thread.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from kstore.errors import StoreError
from kstore.metadata.image import MetadataImage
from kstore.metadata.layout import decode_image
from kstore.metadata.sqlite_nodes import NodeTable
from kstore.metadata.sqlite_tree import METADATA_FILE

__all__ = ["peek"]

_WAL = "-wal"
_ATTEMPTS = 5


def peek(directory: Path) -> MetadataImage | None:
    """The metadata in a data directory, None if there is none. Raises StoreError."""
    file = directory / METADATA_FILE
    failure = ""
    for _ in range(_ATTEMPTS):
        if not file.exists():
            return None
        try:
            return _read_copy(file)
        except (OSError, StoreError, sqlite3.Error) as error:
            failure = str(error)
    raise StoreError(f"{file} can't be read: {failure}")


def _read_copy(file: Path) -> MetadataImage:
    with tempfile.TemporaryDirectory(prefix="kstore-peek-") as name:
        copy = Path(name) / file.name
        shutil.copyfile(file, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(file.with_name(file.name + _WAL), copy.with_name(copy.name + _WAL))
        table = NodeTable(copy)
        try:
            nodes = table.walk("/")
        finally:
            table.close()
    return decode_image({node.path: node for node in nodes}, -1, "")
