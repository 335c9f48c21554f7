"""The small text files, byte for byte."""

from __future__ import annotations

from uuid import UUID

import pytest

from kstore.log.checkpoints import format_epochs, format_offsets, parse_epochs, parse_offsets
from kstore.log.properties import (
    MetaProperties,
    format_partition_metadata,
    format_uuid,
    parse_partition_metadata,
    parse_uuid,
    random_uuid,
)


def test_offsets() -> None:
    offsets = {("a", 10): 0, ("a-b.c", 0): 1 << 40, ("b", 1): 7}
    data = b"0\n3\na 10 0\na-b.c 0 1099511627776\nb 1 7\n"
    assert format_offsets(offsets) == data
    assert parse_offsets(data) == offsets
    assert format_offsets({}) == b"0\n0\n"
    assert parse_offsets(b"0\n0\n") == parse_offsets(b"") == {}


def test_epochs() -> None:
    assert format_epochs([(0, 0), (3, 17)]) == b"0\n2\n0 0\n3 17\n"
    assert parse_epochs(b"0\n1\n3   17") == [(3, 17)]


@pytest.mark.parametrize(
    "data",
    [
        b"1\n0\n",
        b"0\n",
        b"x",
        b"0\n1\n",
        b"0\n0\na 0 1\n",
        b"0\n1\na 0\n",
        b"0\n1\na 0 x\n",
        b"\0",
        b"0\n1\na 0 1 2\n",
        b"\xff\xfe",
    ],
)
def test_malformed_checkpoints(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_offsets(data)


def test_partition_metadata() -> None:
    topic_id = UUID("0123456789abcdef0123456789abcdef")
    data = b"version: 0\ntopic_id: ASNFZ4mrze8BI0VniavN7w"
    assert format_partition_metadata(topic_id) == data
    assert parse_partition_metadata(data) == topic_id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version: 0",
        b"version: -1\ntopic_id: ASNFZ4mrze8BI0VniavN7w",
        b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        b"version: 0\ntopic_id: short",
        b"version: 0\ntopic_id: ASNFZ4mrze8BI0VniavN7w\nmore",
        b"version: 0\ntopic_id: !!NFZ4mrze8BI0VniavN7w",
    ],
)
def test_malformed_partition_metadata(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_partition_metadata(data)


def test_ids() -> None:
    made = {format_uuid(random_uuid()) for _ in range(200)}
    assert len(made) == 200
    for text in made:
        assert len(text) == 22
        assert not text.startswith("-")
        assert format_uuid(parse_uuid(text)) == text


def test_meta_properties() -> None:
    meta = MetaProperties("ASNFZ4mrze8BI0VniavN7w", 3, "IyNFZ4mrze8BI0VniavN7w")
    lines = meta.format().decode().splitlines()
    assert lines[0] == "#"
    assert lines[1].startswith("#")
    assert set(lines[2:]) == {
        "version=1",
        "cluster.id=ASNFZ4mrze8BI0VniavN7w",
        "node.id=3",
        "directory.id=IyNFZ4mrze8BI0VniavN7w",
    }
    assert MetaProperties.parse(meta.format()) == meta


def test_meta_properties_of_old_brokers() -> None:
    meta = MetaProperties.parse(b"#x\n\nversion=0\nbroker.id=4\ncluster.id=abc\n")
    assert (meta.cluster_id, meta.node_id, len(meta.directory_id)) == ("abc", 4, 22)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version=2\nnode.id=1\ncluster.id=a",
        b"version=1\ncluster.id=a",
        b"version=1\nnode.id=1",
        b"version=1\nnode.id=-1\ncluster.id=a",
    ],
)
def test_malformed_meta_properties(data: bytes) -> None:
    with pytest.raises(ValueError):
        MetaProperties.parse(data)
