"""Kafka's metadata log under hostile bytes: metadata, or one error, and nothing large."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from kstore.log.files import Files
from kstore.metadata.importing.metadata import UnreadableMetadataError
from kstore.metadata.importing.reading import read_metadata
from kstore.metadata.importing.records import RECORD_TYPES, decode_record
from kstore.wire.codec import DecodeError
from tests.support import kraft
from tests.support.kraft import frame, topic
from tests.support.messages import random_message

MEMORY_LIMIT = 4 << 20

SOUND = [*topic("a", UUID(int=1)), *topic("b", UUID(int=2), [(3,), (3, 4)])]

heads = st.tuples(
    st.sampled_from([1, 1, 1, 0, 2]), st.sampled_from([*RECORD_TYPES, 0, 77]), st.integers(0, 3)
)
values = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda head, rest: bytes(head) + rest, heads, st.binary(max_size=60)),
    st.sampled_from(SOUND),
)


@given(st.sampled_from(sorted(RECORD_TYPES)), st.integers(0), st.data())
def test_what_is_written_is_read(number: int, seed: int, data: st.DataObject) -> None:
    message_type = RECORD_TYPES[number]
    version = data.draw(st.sampled_from([*message_type.VERSIONS]))
    message = random_message(message_type, version, random.Random(seed))
    assert decode_record(frame(message, version)) == (number, message)


@given(values)
def test_any_bytes_are_a_record_or_an_error(value: bytes) -> None:
    tracemalloc.start()
    try:
        with suppress(DecodeError):
            decode_record(value)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_LIMIT
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(values, max_size=6),
    st.booleans(),
    st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=2),
    st.booleans(),
)
def test_any_log_and_snapshot_are_metadata_or_an_error(
    records: list[bytes], in_snapshot: bool, flips: list[tuple[int, int]], closed: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = kraft.write_log(directory, [*SOUND, *records])
        if in_snapshot:
            path = kraft.write_snapshot(directory, [*SOUND, *records], len(SOUND))
        data = bytearray(path.read_bytes())
        for position, mask in flips:
            data[position % len(data)] ^= mask
        path.write_bytes(data)
        with suppress(UnreadableMetadataError):
            read_metadata(Files(), directory, closed=closed)
