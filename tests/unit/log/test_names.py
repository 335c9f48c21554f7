"""What the names of files and directories say."""

from __future__ import annotations

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log.names import (
    PartitionName,
    check_partition,
    deletion_name,
    file_name,
    parse_directory,
    parse_file,
    stray_name,
)


def test_files() -> None:
    assert file_name(42, ".log") == "00000000000000000042.log"
    assert parse_file("00000000000000000042.log") == (42, ".log", "")
    assert parse_file("00000000000000000042.timeindex.swap") == (42, ".timeindex", ".swap")
    for name in ("42.log", "00000000000000000042.txt", "leader-epoch-checkpoint", "", "x" * 24):
        assert parse_file(name) is None


def test_offsets_that_no_log_has() -> None:
    assert parse_file("09223372036854775807.log") == (2**63 - 1, ".log", "")
    assert parse_file("09223372036854775808.log") is None
    assert parse_file("\N{ARABIC-INDIC DIGIT ONE}" * 20 + ".log") is None


def test_directories() -> None:
    assert parse_directory("a-0") == PartitionName("a", 0, "")
    assert parse_directory("a-b-12") == PartitionName("a-b", 12, "")
    assert parse_directory("a.b_c-1") == PartitionName("a.b_c", 1, "")
    for name in ("a", "-0", "a-", "a-b", "a-1x", "__cluster_metadata-0", "remote-log-index-cache"):
        assert parse_directory(name) is None


@pytest.mark.parametrize("topic", ["a", "a-b", "x" * 249])
def test_marked_directories(topic: str) -> None:
    for made, mark in (
        (deletion_name(topic, 12), "delete"),
        (stray_name(topic, 12), "stray"),
    ):
        parsed = parse_directory(made)
        assert parsed is not None
        assert (parsed.partition, parsed.mark) == (12, mark)
        assert topic.startswith(parsed.topic)
        assert len(made) <= 255


@pytest.mark.parametrize("topic", ["", ".", "..", "a/b", "../a", "ä", "a b", "x" * 250, "a\0"])
def test_topics_that_have_no_directory(topic: str) -> None:
    with pytest.raises(KafkaError) as caught:
        check_partition(topic, 0)
    assert caught.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION


def test_partitions_that_have_no_directory() -> None:
    for partition in (-1, 1 << 31):
        with pytest.raises(KafkaError):
            check_partition("a", partition)
