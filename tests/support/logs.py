"""What tests of the log share: batches to append, and stores to append them to."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from crc32c import crc32c

from kstore.configs import LogConfig
from kstore.log.files import Files
from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.store import Store
from kstore.testing.manual import START_MS, ManualRuntime

HEADER = struct.Struct(">qiibIhiqqqhii")
FIELDS = [
    "base_offset",
    "batch_length",
    "leader_epoch",
    "magic",
    "crc",
    "attributes",
    "last_offset_delta",
    "base_timestamp",
    "max_timestamp",
    "producer_id",
    "producer_epoch",
    "base_sequence",
    "record_count",
]
NOW_MS = START_MS


def batch(*values: bytes | None, timestamp_ms: int = NOW_MS, **options: Any) -> bytes:
    """A batch of records without keys."""
    return build_batch(
        [(None, value) for value in values or (b"value",)], timestamp_ms=timestamp_ms, **options
    )


def altered(data: bytes, *, fix_crc: bool = True, **fields: int) -> bytes:
    """The batch with other header fields, and by default the CRC that fits them."""
    values = dict(zip(FIELDS, HEADER.unpack_from(data), strict=True))
    values.update(fields)
    made = bytearray(HEADER.pack(*values.values()) + data[HEADER.size :])
    if fix_crc and "crc" not in fields:
        struct.pack_into(">I", made, 17, crc32c(bytes(made[21:])))
    return bytes(made)


class QuickFiles(Files):
    """The real file system without waiting for its disk: tests are not cut off from power."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass


def open_store(directory: Path, **options: Any) -> Store:
    """A store on a manual runtime, whose workers do their work at once."""
    options.setdefault("runtime", PromptRuntime())
    options.setdefault("files", QuickFiles())
    return Store.open(directory, **options)


class PromptRuntime(ManualRuntime):
    """A manual clock and manual timers, but workers that don't wait."""

    def run_in_worker(self, work: Any) -> Any:
        later = super().run_in_worker(work)
        self.run_workers()
        return later


def make_log(store: Store, topic: str = "topic", **config: Any) -> Log:
    return store.create(topic, config=LogConfig(**config))


def offsets(log: Log, start: int = 0) -> list[int]:
    return [record.offset for record in log.records(start)]


def values(log: Log, start: int = 0) -> list[bytes | None]:
    return [record.value for record in log.records(start)]
