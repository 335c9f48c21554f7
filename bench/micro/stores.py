"""A log in a directory that is gone afterwards."""

from __future__ import annotations

import tempfile
from typing import Any

import kstore
from kstore.configs import LogConfig

NOW_MS = 1_700_000_000_000


class WithLog:
    """Gives a benchmark an empty log, with one large segment."""

    count = 1000

    def setup(self, *parameters: Any) -> None:
        self.directory = tempfile.TemporaryDirectory()
        config = LogConfig(segment_bytes=1 << 30)
        self.store = kstore.open(self.directory.name, config=config)
        self.log = self.store.create("topic")

    def teardown(self, *parameters: Any) -> None:
        self.store.close()
        self.directory.cleanup()
