"""The map of keys: its hash, its bounds, and what it answers."""

from __future__ import annotations

import random

import pytest

from kstore._native.key_map import ENTRY_SIZE, KeyMap, siphash

SEED = bytes(range(16))


@pytest.mark.parametrize(
    ("size", "digest"),
    [(0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45")],
)
def test_the_hash_is_siphash(size: int, digest: str) -> None:
    """The first vectors of the reference implementation."""
    assert siphash(SEED[:size], SEED).hex() == digest


def test_it_answers_as_a_dict() -> None:
    choose = random.Random(7)
    map, model = KeyMap(1 << 20, 3000, SEED), {}
    for offset in range(5000):
        key = choose.randbytes(choose.randrange(40))[: choose.randrange(1, 40)]
        if choose.random() < 0.5 and model:
            key = choose.choice(list(model))
        if len(model) < 3000 or key in model:
            assert map.put(key, offset)
            model[key] = offset
    assert map.count == len(model)
    assert {key: map.get(key) for key in model} == model
    assert map.get(b"another key") == -1


def test_it_takes_at_most_27_bytes_a_key() -> None:
    size = 24 * 1000
    map = KeyMap(size, 1 << 40, SEED)
    count = 0
    while map.put(b"%d" % count, count):
        count += 1
    assert count == map.capacity == map.count == 900
    assert size / count < 27
    assert map.memory_size == size == 1000 * ENTRY_SIZE
    assert map.put(b"0", 7777)
    assert map.get(b"0") == 7777


def test_no_more_memory_than_keys_can_come() -> None:
    map = KeyMap(128 << 20, 9, SEED)
    assert map.memory_size <= 12 * ENTRY_SIZE
    assert all(map.put(b"%d" % number, number) for number in range(9))


@pytest.mark.parametrize(
    ("memory", "keys", "seed"), [(47, 5, SEED), (480, -1, SEED), (480, 5, b"")]
)
def test_what_it_refuses(memory: int, keys: int, seed: bytes) -> None:
    with pytest.raises(ValueError):
        KeyMap(memory, keys, seed)
    with pytest.raises(ValueError):
        KeyMap(480, 5, SEED).put(b"key", -1)
