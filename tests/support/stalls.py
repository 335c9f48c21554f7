"""How long a loop keeps everybody waiting: a heartbeat, and by how much it came late at worst."""

from __future__ import annotations

import asyncio
import time

INTERVAL_S = 0.002


class StallWatch:
    """Made and stopped on the loop that it watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.longest_s = 0.0
        self.count = 0
        self._loop = loop
        self._due_s = 0.0
        self._schedule()

    def _schedule(self) -> None:
        # The clock of a loop may stand still while it works.
        self._due_s = time.monotonic() + INTERVAL_S
        self._timer = self._loop.call_later(INTERVAL_S, self._beat)

    def _beat(self) -> None:
        self.longest_s = max(self.longest_s, time.monotonic() - self._due_s)
        self.count += 1
        self._schedule()

    def stop(self) -> None:
        self._timer.cancel()
