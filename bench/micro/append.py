"""Appending to a log whose pages were touched before, as those of a segment made ahead are."""

from __future__ import annotations

from kstore.log.columns import as_column
from kstore.log.records import build_batch

from .stores import NOW_MS, WithLog


class Append(WithLog):
    """Whole batches, of records of 1,000 bytes or one of 32."""

    params = [1, 16]
    param_names = ["records"]

    def setup(self, records: int) -> None:
        super().setup()
        size = 32 if records == 1 else 1000
        self.batch = build_batch([(None, b"x" * size)] * records, timestamp_ms=NOW_MS)
        self.time_append(records)

    def time_append(self, records: int) -> None:
        self.log.truncate_to(0)
        for _ in range(self.count):
            self.log.append(self.batch, now_ms=NOW_MS)


class AppendMany(WithLog):
    """`count` records of about 100 bytes: as columns, as lists, as records."""

    count = 100_000

    def setup(self) -> None:
        super().setup()
        self.keys = [b"key-%06d" % number for number in range(self.count)]
        self.values = [b"%086d" % number for number in range(self.count)]
        self.key_column, self.value_column = as_column(self.keys), as_column(self.values)
        self.time_columns()

    def time_columns(self) -> None:
        self.log.truncate_to(0)
        self.log.append_columns(self.value_column, keys=self.key_column, now_ms=NOW_MS)

    def time_lists(self) -> None:
        self.log.truncate_to(0)
        self.log.append_columns(self.values, keys=self.keys, now_ms=NOW_MS)

    def time_records(self) -> None:
        self.log.truncate_to(0)
        for start in range(0, self.count, 1000):
            end = start + 1000
            pairs = zip(self.keys[start:end], self.values[start:end], strict=True)
            self.log.append_records(pairs, now_ms=NOW_MS)
