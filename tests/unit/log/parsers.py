"""What the log reads that others may have written, for the suite of all parsers."""

from __future__ import annotations

from kstore._native.batch import BatchError, check_batch, walk
from kstore._native.validate import AppendRules, InvalidBatch, validate_batch
from kstore.log.checkpoints import parse_epochs, parse_offsets
from kstore.log.producers import CorruptSnapshotError, ProducerStates, decode_snapshot
from kstore.log.properties import MetaProperties, parse_partition_metadata
from tests.support.logs import NOW_MS, batch
from tests.support.parsers import Parser, register

RULES = AppendRules(
    max_size=1 << 20,
    keys_required=False,
    log_append_time=False,
    before_max_ms=(1 << 63) - 1,
    after_max_ms=3_600_000,
)


def _batches() -> list[bytes]:
    return [batch(b"a", b"b"), batch(b"x" * 50, compression="lz4")]


def _snapshots() -> list[bytes]:
    states = ProducerStates()
    empty = states.snapshot()
    states.update(check_batch(batch(producer_id=7, producer_epoch=1, base_sequence=0)))
    return [empty, states.snapshot()]


register(Parser("batch", check_batch, _batches, BatchError, junk_is_error=False))
register(
    Parser("batches", lambda data: list(walk(data)), _batches, BatchError, truncated_is_error=False)
)
register(
    Parser(
        "appended batch",
        lambda data: validate_batch(data, RULES, NOW_MS, True),
        _batches,
        InvalidBatch,
        junk_is_error=False,
    )
)
register(
    Parser(
        "offset checkpoint",
        parse_offsets,
        lambda: [b"0\n2\na-b 0 17\nc 1 0\n"],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "epoch checkpoint",
        parse_epochs,
        lambda: [b"0\n2\n0 0\n3 17\n"],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "meta.properties",
        MetaProperties.parse,
        lambda: [MetaProperties("ASNFZ4mrze8BI0VniavN7w", 3, "IyNFZ4mrze8BI0VniavN7w").format()],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "partition.metadata",
        parse_partition_metadata,
        lambda: [b"version: 0\ntopic_id: ASNFZ4mrze8BI0VniavN7w"],
        ValueError,
        junk_is_error=False,
    )
)
register(Parser("producer snapshot", decode_snapshot, _snapshots, CorruptSnapshotError))
