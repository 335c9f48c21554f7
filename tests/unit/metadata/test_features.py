"""Levels of features that were set: kept, counted, and read again."""

from __future__ import annotations

import json

import pytest

from kstore.errors import StoreError
from kstore.metadata import layout
from kstore.metadata.features import Features
from kstore.metadata.tree import StoredNode


def test_nothing_is_set_at_first(metadata):
    assert (metadata.image.features, metadata.image.features_epoch) == ({}, 0)


def test_levels_are_kept_over_a_restart(metadata):
    for epoch, levels in enumerate([{"a": 1}, {"b": 2}, {"a": 0}], 1):
        assert metadata.wait(Features(metadata.cluster).change(levels)) is None
        assert metadata.image.features_epoch == epoch
    expected = {"a": 0, "b": 2}
    assert metadata.image.features == expected
    metadata.reopen()
    assert (metadata.image.features, metadata.image.features_epoch) == (expected, 3)
    node = metadata.wait(metadata.tree.get(layout.FEATURES))
    assert json.loads(node.data) == {"version": 1, "status": 1, "features": expected}


@pytest.mark.parametrize("data", [b"", b"{}", b'{"features":[]}', b'{"features":{"a":"x"}}'])
def test_unreadable_features_are_named(data):
    nodes = {layout.FEATURES: StoredNode(layout.FEATURES, data, 0)}
    with pytest.raises(StoreError, match=r"^metadata node /feature can't be read: "):
        layout.decode_image(nodes, 1, "abc")
