"""Every kind of damage to a data directory that `kstore check` has to see, one function each.

A function damages a copy of the golden store (tests/golden/kafka-4.3.1) in one place and says which
fault must be found: file, position, and words of the reason. `CANARIES` names them all.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from crc32c import crc32c

from kstore._native.batch import BatchHeader, walk
from kstore.log.producers import decode_snapshot, encode_snapshot

LOG = "rolled-0/00000000000000000021.log"
INDEX = "rolled-0/00000000000000000021.index"
TIMES = "rolled-0/00000000000000000021.timeindex"
LAST_LOG = "rolled-0/00000000000000000042.log"
SNAPSHOT = "rolled-0/00000000000000000042.snapshot"
EPOCHS = "rolled-0/leader-epoch-checkpoint"
TRANSACTIONS = "transactions-0/00000000000000000002.txnindex"


Canary = Callable[[Path], tuple[str, int, str]]
CANARIES: dict[str, Canary] = {}


def headers(store: Path, name: str = LOG) -> list[BatchHeader]:
    return list(walk((store / name).read_bytes()))


def patch(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


def flip(path: Path, position: int, bit: int = 1) -> None:
    patch(path, position, bytes([path.read_bytes()[position] ^ bit]))


def reseal(batch: bytearray) -> bytes:
    """The batch with the CRC that its bytes ought to have."""
    struct.pack_into(">I", batch, 17, crc32c(memoryview(batch)[21:]))
    return bytes(batch)


def canary(damage: Canary) -> Canary:
    CANARIES[damage.__name__] = damage
    return damage


@canary
def flipped_bit_in_a_record(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[5]
    flip(store / LOG, batch.position + batch.size - 3, 0x10)
    return LOG, batch.position, "CRC"


@canary
def flipped_bit_in_compressed_records(store: Path) -> tuple[str, int, str]:
    name = "codecs-0/00000000000000000000.log"
    batch = headers(store, name)[7]
    flip(store / name, batch.position + 70)
    return name, batch.position, "CRC"


@canary
def flipped_header(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 23)
    return LOG, batch.position, "CRC"


@canary
def flipped_base_offset(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 7, 0x01)
    return LOG, headers(store)[4].position, "is the least it may"


@canary
def flipped_base_offset_far(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 2, 0x40)
    return LOG, batch.position, "the next segment begins at 42"


@canary
def flipped_base_offset_of_the_last_segment(store: Path) -> tuple[str, int, str]:
    batch = headers(store, LAST_LOG)[-1]
    flip(store / LAST_LOG, batch.position + 1, 0x40)
    return LAST_LOG, batch.position, "too far"


@canary
def flipped_length(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 11, 0x01)
    return LOG, batch.position, "CRC"


@canary
def length_behind_the_end(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    patch(store / LOG, batch.position + 8, struct.pack(">i", 1 << 30))
    return LOG, batch.position, "the bytes end inside the batch"


@canary
def flipped_magic(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 16, 0x02)
    return LOG, batch.position, "magic"


@canary
def flipped_leader_epoch(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[3]
    flip(store / LOG, batch.position + 15, 0x01)
    return LOG, batch.position, "leader epoch 1, the checkpoint says 0"


@canary
def cut_tail(store: Path) -> tuple[str, int, str]:
    batch = headers(store, LAST_LOG)[-1]
    os.truncate(store / LAST_LOG, batch.position + batch.size - 1)
    return LAST_LOG, batch.position, "the bytes end inside the batch"


@canary
def cut_tail_of_an_earlier_segment(store: Path) -> tuple[str, int, str]:
    batch = headers(store)[-1]
    os.truncate(store / LOG, batch.position + 5)
    return LOG, batch.position, "5 bytes are no batches"


@canary
def lost_last_batch(store: Path) -> tuple[str, int, str]:
    """Cut where a batch ends: the checkpoints know that there was more."""
    batch = headers(store, LAST_LOG)[-1]
    os.truncate(store / LAST_LOG, batch.position)
    return "replication-offset-checkpoint", 4 + len("__transaction_state 0 19\n"), "before 60"


@canary
def junk_appended(store: Path) -> tuple[str, int, str]:
    size = (store / LAST_LOG).stat().st_size
    with (store / LAST_LOG).open("ab") as file:
        file.write(b"a block that is no batch" * 10)
    return LAST_LOG, size, "240 bytes are no batches"


@canary
def zeros_appended_though_closed(store: Path) -> tuple[str, int, str]:
    size = (store / LAST_LOG).stat().st_size
    os.truncate(store / LAST_LOG, size + 4096)
    return LAST_LOG, size, "4096 bytes are no batches"


@canary
def swapped_batches(store: Path) -> tuple[str, int, str]:
    data = (store / LOG).read_bytes()
    first, second = headers(store)[4:6]
    batches = data[first.position : second.position + second.size]
    swapped = batches[first.size :] + batches[: first.size]
    patch(store / LOG, first.position, swapped)
    return LOG, first.position + second.size, "is the least it may"


@canary
def repeated_batch(store: Path) -> tuple[str, int, str]:
    data = (store / LAST_LOG).read_bytes()
    batch = headers(store, LAST_LOG)[-1]
    with (store / LAST_LOG).open("ab") as file:
        file.write(data[batch.position :])
    return LAST_LOG, len(data), "is the least it may"


@canary
def batch_of_another_segment(store: Path) -> tuple[str, int, str]:
    (store / LAST_LOG).rename(store / "rolled-0/00000000000000000050.log")
    return "rolled-0/00000000000000000050.log", 0, "offset 42, 50 is the least"


def rewrite_batch(store: Path, position: int, *fields: tuple[int, str, int]) -> None:
    """Changes fields of a header and makes the CRC right again."""
    batch = next(header for header in headers(store) if header.position == position)
    data = bytearray((store / LOG).read_bytes()[position : position + batch.size])
    for at, form, value in fields:
        struct.pack_into(form, data, at, value)
    patch(store / LOG, position, reseal(data))


@canary
def wrong_record_count(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (57, ">i", 2))
    return LOG, position, "record 2 of 2 in the batch at offset 27"


@canary
def record_count_beyond_the_bytes(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (57, ">i", 1 << 30))
    return LOG, position, "too small for as many records"


@canary
def fewer_records_than_bytes(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (57, ">i", 0))
    return LOG, position, "bytes are left"


@canary
def record_offset_outside_its_batch(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    record = 61 + 1 + 1 + 1  # its size, attributes, timestamp delta
    rewrite_batch(store, position, (record, ">B", 2))
    return LOG, position, "its offset does not rise"


@canary
def negative_offset_delta(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (23, ">i", -5), (57, ">i", 0))
    return LOG, position, "before it begins"


@canary
def malformed_record(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (61, ">B", 0x7E))
    return LOG, position, "malformed"


@canary
def records_that_do_not_decompress(store: Path) -> tuple[str, int, str]:
    position = headers(store)[6].position
    rewrite_batch(store, position, (21, ">h", 1))
    return LOG, position, "corrupt compressed data"


@canary
def index_entry_with_a_wrong_offset(store: Path) -> tuple[str, int, str]:
    flip(store / INDEX, 8 + 3)
    return INDEX, 8, "the entry says offset"


@canary
def index_entry_with_a_wrong_position(store: Path) -> tuple[str, int, str]:
    flip(store / INDEX, 16 + 7)
    return INDEX, 16, "no batch begins at position"


@canary
def index_entries_out_of_order(store: Path) -> tuple[str, int, str]:
    data = (store / INDEX).read_bytes()
    (store / INDEX).write_bytes(data[:8] + data[16:24] + data[8:16] + data[24:])
    return INDEX, 16, "does not rise"


@canary
def index_entry_behind_the_end(store: Path) -> tuple[str, int, str]:
    size = (store / INDEX).stat().st_size
    with (store / INDEX).open("ab") as file:
        file.write(struct.pack(">ii", 500, 99_999))
    return INDEX, size, "no batch begins at position 99999"


@canary
def index_of_another_segment(store: Path) -> tuple[str, int, str]:
    shutil.copyfile(store / "transactions-0/00000000000000000002.index", store / INDEX)
    return INDEX, 0, "no batch begins at position"


@canary
def truncated_index(store: Path) -> tuple[str, int, str]:
    size = (store / INDEX).stat().st_size
    os.truncate(store / INDEX, size - 3)
    return INDEX, size - 8, "no multiple of 8"


@canary
def missing_index(store: Path) -> tuple[str, int, str]:
    (store / INDEX).unlink()
    return INDEX, 0, "missing"


@canary
def index_that_was_not_trimmed_though_closed(store: Path) -> tuple[str, int, str]:
    size = (store / INDEX).stat().st_size
    os.truncate(store / INDEX, size + 80)
    return INDEX, size, "does not rise"


@canary
def index_without_a_segment(store: Path) -> tuple[str, int, str]:
    (store / LOG).unlink()
    return TIMES, 0, "belongs to no segment"


@canary
def time_entry_with_a_wrong_timestamp(store: Path) -> tuple[str, int, str]:
    flip(store / TIMES, 12 + 7)
    return TIMES, 12, "the entry says timestamp"


@canary
def time_entry_with_a_wrong_offset(store: Path) -> tuple[str, int, str]:
    flip(store / TIMES, 12 + 11)
    return TIMES, 12, "the entry says timestamp"


@canary
def time_entry_that_is_not_the_largest(store: Path) -> tuple[str, int, str]:
    """Of a batch that came late: its own timestamp, but there was a larger one before."""
    late = next(header for header in headers(store) if header.base_offset == 24)
    assert late.max_timestamp < headers(store)[2].max_timestamp
    entry = struct.pack(">qi", late.max_timestamp, 24 - 21)
    (store / TIMES).write_bytes(entry + (store / TIMES).read_bytes()[12:])
    return TIMES, 0, "is not the largest"


@canary
def time_entries_out_of_order(store: Path) -> tuple[str, int, str]:
    data = (store / TIMES).read_bytes()
    (store / TIMES).write_bytes(data[12:24] + data[:12] + data[24:])
    return TIMES, 12, "does not rise"


@canary
def time_entry_behind_the_end(store: Path) -> tuple[str, int, str]:
    size = (store / TIMES).stat().st_size
    with (store / TIMES).open("ab") as file:
        file.write(struct.pack(">qi", 1 << 50, 500))
    return TIMES, size, "no batch holds offset 521"


@canary
def truncated_time_index(store: Path) -> tuple[str, int, str]:
    size = (store / TIMES).stat().st_size
    os.truncate(store / TIMES, size - 12)
    return TIMES, size - 12, "the index ends with timestamp"


@canary
def time_index_cut_inside_an_entry(store: Path) -> tuple[str, int, str]:
    size = (store / TIMES).stat().st_size
    os.truncate(store / TIMES, size - 5)
    return TIMES, size - 12, "no multiple of 12"


@canary
def flipped_snapshot(store: Path) -> tuple[str, int, str]:
    flip(store / SNAPSHOT, 20)
    return SNAPSHOT, 0, "CRC"


@canary
def truncated_snapshot(store: Path) -> tuple[str, int, str]:
    os.truncate(store / SNAPSHOT, 12)
    return SNAPSHOT, 0, "CRC"


@canary
def snapshot_that_disagrees_with_the_log(store: Path) -> tuple[str, int, str]:
    (entry,) = decode_snapshot((store / SNAPSHOT).read_bytes())
    first, last, base_offset, last_offset, timestamp_ms = entry.batches[-1]
    entry.batches[-1] = (first + 9, last + 9, base_offset, last_offset, timestamp_ms)
    (store / SNAPSHOT).write_bytes(encode_snapshot([entry]))
    return SNAPSHOT, 10, "sequence 50; the batch there has"


@canary
def snapshot_with_an_impossible_producer(store: Path) -> tuple[str, int, str]:
    entries = decode_snapshot((store / SNAPSHOT).read_bytes()) * 2
    (broken,) = decode_snapshot((store / SNAPSHOT).read_bytes())
    broken.epoch = -3
    (store / SNAPSHOT).write_bytes(encode_snapshot([*entries, broken]))
    return SNAPSHOT, 10 + 2 * 46, "epoch -3"


@canary
def snapshot_under_a_wrong_name(store: Path) -> tuple[str, int, str]:
    newest = "rolled-0/00000000000000000060.snapshot"
    (store / newest).rename(store / "rolled-0/00000000000000000030.snapshot")
    return "rolled-0/00000000000000000030.snapshot", 10, "is not before that of the snapshot"


@canary
def snapshot_behind_the_end(store: Path) -> tuple[str, int, str]:
    name = "rolled-0/00000000000000000090.snapshot"
    (store / SNAPSHOT).rename(store / name)
    return name, 0, "it is of offset 90, the log ends at 60"


@canary
def malformed_epoch_checkpoint(store: Path) -> tuple[str, int, str]:
    (store / EPOCHS).write_bytes(b"0\n2\n0 0\n")
    return EPOCHS, 0, "2 entries are promised"


@canary
def epochs_that_do_not_rise(store: Path) -> tuple[str, int, str]:
    (store / EPOCHS).write_bytes(b"0\n2\n0 0\n0 30\n")
    return EPOCHS, 8, "epoch 0 at offset 30 follows epoch 0"


@canary
def epoch_behind_the_end(store: Path) -> tuple[str, int, str]:
    (store / EPOCHS).write_bytes(b"0\n2\n0 0\n1 61\n")
    return EPOCHS, 8, "begins at offset 61, the log ends at 60"


@canary
def negative_epoch(store: Path) -> tuple[str, int, str]:
    (store / EPOCHS).write_bytes(b"0\n1\n-4 0\n")
    return EPOCHS, 4, "epoch -4"


@canary
def epoch_that_the_batches_do_not_have(store: Path) -> tuple[str, int, str]:
    (store / EPOCHS).write_bytes(b"0\n2\n0 0\n1 59\n")
    return LAST_LOG, headers(store, LAST_LOG)[-1].position, "leader epoch 0, the checkpoint says 1"


@canary
def malformed_checkpoint(store: Path) -> tuple[str, int, str]:
    (store / "recovery-point-offset-checkpoint").write_bytes(b"0\n7\nrolled 0 60\n")
    return "recovery-point-offset-checkpoint", 0, "7 entries are promised"


@canary
def binary_checkpoint(store: Path) -> tuple[str, int, str]:
    (store / "cleaner-offset-checkpoint").write_bytes(b"\xff\xfe\x00")
    return "cleaner-offset-checkpoint", 0, "decode"


@canary
def recovery_point_behind_the_end(store: Path) -> tuple[str, int, str]:
    (store / "recovery-point-offset-checkpoint").write_bytes(b"0\n2\ncodecs 0 60\nrolled 0 61\n")
    return "recovery-point-offset-checkpoint", 16, "rolled-0 ends at offset 60, before 61"


@canary
def log_start_behind_the_end(store: Path) -> tuple[str, int, str]:
    (store / "log-start-offset-checkpoint").write_bytes(b"0\n1\nrolled 0 1000\n")
    return "log-start-offset-checkpoint", 4, "before 1000"


@canary
def negative_checkpoint(store: Path) -> tuple[str, int, str]:
    (store / "replication-offset-checkpoint").write_bytes(b"0\n1\nrolled 0 -1\n")
    return "replication-offset-checkpoint", 4, "can't have offset -1"


@canary
def malformed_partition_metadata(store: Path) -> tuple[str, int, str]:
    (store / "rolled-0/partition.metadata").write_bytes(b"version: 0\ntopic_id: short")
    return "rolled-0/partition.metadata", 0, "22 characters"


@canary
def malformed_meta_properties(store: Path) -> tuple[str, int, str]:
    (store / "meta.properties").write_bytes(b"version=1\n")
    return "meta.properties", 0, "missing"


@canary
def missing_meta_properties(store: Path) -> tuple[str, int, str]:
    (store / "meta.properties").unlink()
    return "meta.properties", 0, "the file is missing"


@canary
def temporary_checkpoint(store: Path) -> tuple[str, int, str]:
    (store / "replication-offset-checkpoint.tmp").touch()
    return "replication-offset-checkpoint.tmp", 0, "temporary file"


@canary
def unfinished_compaction(store: Path) -> tuple[str, int, str]:
    shutil.copyfile(store / LOG, store / (LOG + ".cleaned"))
    return LOG + ".cleaned", 0, "temporary file"


@canary
def unfinished_swap(store: Path) -> tuple[str, int, str]:
    shutil.copyfile(store / LOG, store / (LOG + ".swap"))
    return LOG + ".swap", 0, "temporary file"


@canary
def transaction_entry_of_an_unknown_version(store: Path) -> tuple[str, int, str]:
    flip(store / TRANSACTIONS, 34 + 1)
    return TRANSACTIONS, 34, "version 1"


@canary
def transaction_that_ends_before_it_begins(store: Path) -> tuple[str, int, str]:
    patch(store / TRANSACTIONS, 34 + 10, struct.pack(">q", 1 << 40))
    return TRANSACTIONS, 34, "contradicts itself"


@canary
def transaction_marker_of_another_segment(store: Path) -> tuple[str, int, str]:
    size = (store / TRANSACTIONS).stat().st_size
    with (store / TRANSACTIONS).open("ab") as file:
        file.write(struct.pack(">hqqqq", 0, 8, 15, 500, 501))
    return TRANSACTIONS, size, "no marker of this segment can be at offset 500"


@canary
def truncated_transaction_index(store: Path) -> tuple[str, int, str]:
    size = (store / TRANSACTIONS).stat().st_size
    os.truncate(store / TRANSACTIONS, size - 1)
    return TRANSACTIONS, size - 34, "no multiple of 34"
