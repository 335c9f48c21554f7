"""What `log.profile` says of a log is what a compaction, or retention, then does to it.

The logs are those of the test of compaction: random keys, tombstones, transactions, codecs. They
are looked at while they are open, as beside a broker.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kstore.log.files import ReadOnlyFiles
from kstore.log.handles import Handles
from kstore.log.log import Log
from kstore.log.profile import (
    PartitionView,
    profile_compaction,
    profile_retention,
    view_partition,
)
from tests.property.test_compaction import Player, config, seeds
from tests.support.logs import make_log, open_store


def view(log: Log, now_ms: int) -> PartitionView:
    return view_partition(
        Handles(ReadOnlyFiles()),
        log.directory,
        log_start_offset=log.log_start_offset,
        cleaned_offset=log.cleaned_offset,
        now_ms=now_ms,
    )


@pytest.mark.parametrize("seed", seeds()[:6])
def test_compaction_leaves_what_was_said(tmp_path: Path, seed: int) -> None:
    print(f"KSTORE_TEST_SEED={seed}")
    choose = random.Random(seed)
    with open_store(tmp_path / "data", config=config(choose)) as store:
        log = store.create("topic")
        player = Player(log, choose)
        for number in range(1, 161):
            player.step()
            if number % 40 == 0:
                now_ms = player.model.now_ms
                seen = view(log, now_ms)
                assert seen.log_end_offset == log.log_end_offset
                assert seen.segments[-1].size == log.segments.active.size
                found = profile_compaction(seen, log.config, now_ms, 1 << 20)
                done = log.compact(now_ms, map_size=1 << 20)
                sealed = [segment.size for segment in log.segments.all()[:-1]]
                assert sum(one.kept_size for one in found.segments[:-1]) == sum(sealed)
                assert sum(one.record_count or 0 for one in found.segments) == done.records_read
                assert sum(one.kept_count or 0 for one in found.segments) == done.records_kept
                assert found.key_count == done.keys
                if done.passes == 1:
                    left_alone = sum(one.base_offset >= found.end_offset for one in seen.segments)
                    assert found.segment_count == len(log.segments) - left_alone


@pytest.mark.parametrize("seed", seeds()[:4])
def test_retention_takes_what_was_said(tmp_path: Path, seed: int) -> None:
    print(f"KSTORE_TEST_SEED={seed}")
    choose = random.Random(seed)
    with open_store(tmp_path / "data") as store:
        log = make_log(
            store,
            segment_bytes=choose.choice([900, 4000]),
            retention_bytes=choose.choice([-1, 3000, 9000]),
            retention_ms=choose.choice([-1, 300, 900]),
        )
        player = Player(log, choose)
        for _ in range(120):
            player.step()
        log.advance_log_start(choose.randrange(log.log_end_offset))
        now_ms = player.model.now_ms
        found = profile_retention(view(log, now_ms), log.config, now_ms)
        bases = [segment.base_offset for segment in log.segments.all()]
        assert [one.base_offset for one in found] == bases
        removed = log.apply_retention(now_ms)
        assert removed == sum(one.verdict != "stays" for one in found)
