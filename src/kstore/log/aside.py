"""Files that are no good any more: named in the log, kept under another name, never removed.

| name        | what it is                                                                    |
|-------------|-------------------------------------------------------------------------------|
| *.corrupt   | a small file that could not be read, or what was cut off the end of a segment |
| *.stray     | a segment behind damage, or a file whose name no segment can have             |

Neither Kafka nor this store looks at such files again. Any thread may use this.
"""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path

from kstore._native.scan import is_zero
from kstore.log.files import TEMPORARY_ERRNOS, Files

__all__ = ["CORRUPT", "STRAY", "keep_tail", "put_aside"]

logger = logging.getLogger("kstore.log")

CORRUPT = ".corrupt"
STRAY = ".stray"

_CHUNK_SIZE = 1 << 20


def put_aside(files: Files, path: Path, mark: str, reason: object) -> None:
    """Renames a file to a free name that says what it is. Raises OSError."""
    aside = _free_name(files, path, mark)
    logger.warning("set aside %s as %s: %s", path, aside.name, reason)
    files.rename(path, aside)


def keep_tail(files: Files, path: Path, position: int, size: int) -> None:
    """Copies the bytes from `position` on, which are about to be cut off, to a file beside.

    Without room for that they are lost: the log has to be served all the same. Raises OSError.
    """
    aside = _free_name(files, path, CORRUPT)
    try:
        with files.opened(path) as source, files.opened(aside, create=True) as target:
            for at in range(0, size, _CHUNK_SIZE):
                data = files.read(source, min(_CHUNK_SIZE, size - at), position + at)
                if not is_zero(data):
                    files.write(target, data, at)
    except OSError as error:
        if error.errno not in TEMPORARY_ERRNOS:
            raise
        logger.warning("%d bytes cut off %s could not be kept: %s", size, path, error)
        files.delete(aside, missing_ok=True)
    else:
        logger.warning("what was cut off %s at %d is in %s", path, position, aside.name)


def _free_name(files: Files, path: Path, mark: str) -> Path:
    for number in count(1):
        aside = path.with_name(path.name + mark + (f"-{number}" if number > 1 else ""))
        if not files.exists(aside):
            return aside
    raise AssertionError("there are always more numbers")
