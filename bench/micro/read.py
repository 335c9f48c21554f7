"""Reading: where an offset is, and what stands there, as columns and as records."""

from __future__ import annotations

from kstore.log.records import build_batch

from .stores import NOW_MS, WithLog


class Lookup(WithLog):
    """`count` offsets all over a segment of 50 batches for each, active or sealed."""

    params = ["active", "sealed"]
    param_names = ["segment"]

    def setup(self, segment: str) -> None:
        super().setup()
        batch = build_batch([(None, b"x" * 30)] * 10, timestamp_ms=NOW_MS)
        for _ in range(50 * self.count):
            self.log.append(batch, now_ms=NOW_MS)
        if segment == "sealed":
            self.log.roll()
        self.end = self.log.log_end_offset
        self.offsets = [number * 7919 % self.end for number in range(self.count)]

    def time_read(self, segment: str) -> None:
        for offset in self.offsets:
            self.log.read(offset, 10_000, upto_offset=self.end)

    def time_read_newest(self, segment: str) -> None:
        for _ in range(self.count):
            self.log.read(self.end - 10, 10_000, upto_offset=self.end)


class ReadAll(WithLog):
    """`count` records of about 100 bytes in batches of 16 KB."""

    count = 100_000
    params = ["none", "lz4", "zstd"]
    param_names = ["compression"]

    def setup(self, compression: str) -> None:
        super().setup()
        self.log.append_columns(
            [b"%086d" % number for number in range(self.count)],
            keys=[b"key-%06d" % number for number in range(self.count)],
            compression=compression,
            batch_size=16 << 10,
            now_ms=NOW_MS,
        )

    def time_columns(self, compression: str) -> None:
        offset = 0
        while offset < self.log.log_end_offset:
            offset = self.log.read_columns(offset).next_offset

    def time_records(self, compression: str) -> None:
        for _ in self.log.records():
            pass
