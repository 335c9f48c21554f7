"""What the log reads that others may have written, for the suite of all parsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from crc32c import crc32c

from kstore._native.batch import BatchError, BatchHeader, check_batch, walk
from kstore._native.validate import AppendRules, InvalidBatch, validate_batch
from kstore.errors import CorruptLogError, ErrorCode, KafkaError, StoreError
from kstore.log.checkpoints import EPOCHS, format_epochs, parse_epochs, parse_offsets
from kstore.log.compression import Codec, compress, decompress
from kstore.log.dump import dump
from kstore.log.epochs import LeaderEpochs
from kstore.log.files import Files
from kstore.log.handles import Handles
from kstore.log.index import OffsetIndex, TimeIndex
from kstore.log.names import parse_directory, parse_file
from kstore.log.producers import CorruptSnapshotError, ProducerStates, decode_snapshot
from kstore.log.properties import META_PROPERTIES, MetaProperties, parse_partition_metadata
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    batches,
    build_batch,
    build_end_transaction_marker,
    find_record_by_timestamp,
    find_record_with_max_timestamp,
    iterate_records,
    parse_end_transaction_marker,
)
from tests.support.logs import NOW_MS, altered, batch
from tests.support.parsers import Parser, register

HEADER_SIZE = 61
META = MetaProperties("ASNFZ4mrze8BI0VniavN7w", 3, "IyNFZ4mrze8BI0VniavN7w").format()
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
        lambda: [META],
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

# Records, of batches whose CRC is that of the damaged bytes.

RECORDS = [
    (b"key", b"value" * 4, NOW_MS, (("name", b"value"), ("größe", None))),
    (None, None, NOW_MS - 1, ()),
]


def _signed(data: bytes) -> bytes:
    """The batch with the length and the CRC that fit its bytes."""
    return altered(data, batch_length=len(data) - 12) if len(data) >= HEADER_SIZE else data


def _one_batch(data: bytes) -> BatchHeader:
    found = list(batches(data))
    if len(found) != 1:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{len(found)} batches")
    return found[0]


def _read_records(data: bytes) -> object:
    data = _signed(data)
    header = _one_batch(data)
    return (
        find_record_with_max_timestamp(header, data),
        find_record_by_timestamp(header, data, NOW_MS),
        list(iterate_records(data, control=True)),
    )


def _read_marker(data: bytes) -> object:
    data = _signed(data)
    return parse_end_transaction_marker(_one_batch(data), data)


def _markers() -> Iterable[bytes]:
    marker = EndTransactionMarker(ControlType.ABORT, 3)
    yield build_end_transaction_marker(marker, producer_id=7, producer_epoch=1, timestamp_ms=NOW_MS)


def _compressed(codec: Codec) -> Iterable[bytes]:
    yield compress(codec, bytes(range(64)) + bytes(64))


def _decompress(codec: Codec, data: bytes) -> object:
    return decompress(codec, data, max_size=1 << 16)


for _codec in Codec:
    _name = _codec.name.lower()
    register(
        Parser(
            f"records, {_name}",
            _read_records,
            partial(lambda codec: [build_batch(RECORDS, compression=codec)], _codec),
            KafkaError,
            truncated_is_error=_codec is Codec.NONE,
            junk_is_error=_codec is Codec.NONE,
        )
    )
    register(
        Parser(
            f"compressed bytes, {_name}",
            partial(_decompress, _codec),
            partial(_compressed, _codec),
            KafkaError,
            truncated_is_error=False,
            junk_is_error=False,
        )
    )
register(Parser("end of a transaction", _read_marker, _markers, KafkaError))

# Files, as they are opened and as they are dumped.


class OneFile(Files):
    """A file system in which each file holds the same bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, path: Path, *, create: bool = False) -> int:
        return 0

    def open_to_read(self, path: Path) -> int:
        return 0

    def close(self, descriptor: int) -> None:
        pass

    def size(self, descriptor: int) -> int:
        return len(self._data)

    def map_to_read(self, descriptor: int, size: int) -> bytes:
        return self._data[:size]

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        return self._data[position : position + size]


def _load_epochs(data: bytes) -> object:
    epochs = LeaderEpochs.load(OneFile(data), Path())
    return epochs.entries(), epochs.end_offset_for(3, 100), epochs.epoch_at(17)


def _look_up_offsets(data: bytes) -> object:
    index = OffsetIndex(Handles(OneFile(data)), Path(), 0, None)
    return [index.lookup(offset) for offset in (0, 5, 40, 1 << 40)], index.last_offset()


def _look_up_times(data: bytes) -> object:
    index = TimeIndex(Handles(OneFile(data)), Path(), 0, None)
    return [index.lookup(time) for time in (0, NOW_MS, NOW_MS + 2, 1 << 62)], index.last()


def _offset_entries() -> Iterable[bytes]:
    yield b"".join((10 * number).to_bytes(8, "big") for number in range(1 << 32, (1 << 32) + 5))


def _time_entries() -> Iterable[bytes]:
    yield b"".join(
        (NOW_MS + number).to_bytes(8, "big") + (10 * number).to_bytes(4, "big")
        for number in range(5)
    )


def _load_snapshot(data: bytes) -> object:
    """A snapshot whose CRC is that of the damaged bytes, and what is made of it."""
    states = ProducerStates()
    states.load(data[:2] + crc32c(data[6:]).to_bytes(4, "big") + data[6:], 17, NOW_MS)
    return list(states.active()), states.first_unstable_offset()


def _dump(name: str, data: bytes) -> object:
    return list(dump(Path(name), True, files=OneFile(data)))


register(
    Parser(
        "leader-epoch-checkpoint",
        _load_epochs,
        lambda: [format_epochs([(0, 0), (3, 17), (4, 17)])],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "offset index", _look_up_offsets, _offset_entries, CorruptLogError, truncated_is_error=False
    )
)
register(
    Parser("time index", _look_up_times, _time_entries, CorruptLogError, truncated_is_error=False)
)
register(Parser("producer snapshot that was signed", _load_snapshot, _snapshots, ValueError))

_DUMPED: dict[str, Callable[[], Iterable[bytes]]] = {
    f"{0:020d}.log": lambda: [
        b"".join((*_markers(), build_batch(RECORDS), build_batch(RECORDS, compression="zstd")))
    ],
    f"{0:020d}.index": _offset_entries,
    f"{0:020d}.timeindex": _time_entries,
    f"{0:020d}.txnindex": lambda: [bytes(34), bytes(range(68))],
    f"{0:020d}.snapshot": _snapshots,
    EPOCHS: lambda: [format_epochs([(0, 0), (3, 17)])],
    META_PROPERTIES: lambda: [META],
}
for _name, _samples in _DUMPED.items():
    register(
        Parser(
            f"dump of {_name}",
            partial(_dump, _name),
            _samples,
            StoreError,
            truncated_is_error=False,
            junk_is_error=False,
        )
    )

# Names, which may be any bytes but zero and slash.

register(
    Parser(
        "name of a file or a directory",
        lambda data: [parse(data.decode("latin-1")) for parse in (parse_file, parse_directory)],
        lambda: [b"00000000000000000042.timeindex.swap", b"a-b-12.0123456789abcdef-delete"],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
