"""Batches made, read and checked, and checksums: what is done to bytes alone."""

from __future__ import annotations

from kstore._native.batch import crc32c
from kstore._native.validate import AppendRules, validate_batch
from kstore.log.records import build_batch, iterate_records

from .stores import NOW_MS


class Batch:
    """`count` records of about 100 bytes in one batch."""

    count = 1000
    params = ["none", "lz4", "zstd"]
    param_names = ["compression"]

    def setup(self, compression: str) -> None:
        self.records = [(b"key-%06d" % number, b"%086d" % number) for number in range(self.count)]
        self.batch = build_batch(self.records, compression=compression, timestamp_ms=NOW_MS)
        self.rules = AppendRules(
            max_size=1 << 30,
            keys_required=False,
            log_append_time=False,
            before_max_ms=1 << 62,
            after_max_ms=1 << 62,
        )

    def time_encode(self, compression: str) -> None:
        build_batch(self.records, compression=compression, timestamp_ms=NOW_MS)

    def time_decode(self, compression: str) -> None:
        for _ in iterate_records(self.batch):
            pass

    def time_validate(self, compression: str) -> None:
        validate_batch(self.batch, self.rules, NOW_MS, True)


class Crc:
    """CRC-32C of 100 bytes, 16 KB and 1 MB, `count` times."""

    count = 100
    params = [100, 16 << 10, 1 << 20]
    param_names = ["size"]

    def setup(self, size: int) -> None:
        self.data = bytes(size)

    def time_crc(self, size: int) -> None:
        for _ in range(self.count):
            crc32c(self.data)
