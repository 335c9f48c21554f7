"""Partitions of coordinator keys, against Java's answers."""

from __future__ import annotations

import pytest

from kstore.coordinator.partitioning import java_string_hash, partition_for


@pytest.mark.parametrize(
    ("text", "hash_code", "partition"),
    [
        ("", 0, 0),
        ("a", 97, 47),
        ("my-group", -1_906_497_762, 12),
        ("gruppe-ü", 673_522_922, 22),
        ("\N{GRINNING FACE} group", -1_570_619_006, 6),  # two UTF-16 units in Java
        ("polygenelubricants", -(1 << 31), 0),  # no positive counterpart
    ],
)
def test_partitions_are_javas(text: str, hash_code: int, partition: int) -> None:
    assert java_string_hash(text) == hash_code
    assert partition_for(text, 50) == partition


def test_a_long_key_has_its_partition_too() -> None:
    assert partition_for("a" * 1_000, 50) == abs(java_string_hash("a" * 1_000)) % 50
