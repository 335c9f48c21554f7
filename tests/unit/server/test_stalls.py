"""The loop must not stall, whatever clients do: a heartbeat on it is never late for long."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from kstore.testing import BrokerThread
from tests.support.stalls import StallWatch

GENEROUS_S = 1.0
"""What is measured is printed; on a machine of its own it is some 20 ms."""


def watch(kstore: BrokerThread) -> StallWatch:
    return kstore.call(lambda server: StallWatch(asyncio.get_running_loop()))


def test_a_loop_that_is_kept_busy_is_seen(kstore: BrokerThread) -> None:
    """The canary of what follows."""
    stalls = watch(kstore)
    kstore.call(lambda server: time.sleep(0.1))
    kstore.call(lambda server: stalls.stop())
    assert stalls.longest_s > 0.05


def test_busy_clients_do_not_stall_the_loop(kstore: BrokerThread) -> None:
    """They run in another process, so that only the broker's own threads compete with its loop."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # as a broker's process does
    try:
        stalls = watch(kstore)
        command = [sys.executable, "-m", "tests.support.busy_clients", kstore.bootstrap_servers]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        kstore.call(lambda server: stalls.stop())
    finally:
        sys.setswitchinterval(interval_s)
    assert done.returncode == 0, done.stderr
    print(f"longest stall {stalls.longest_s * 1000:.1f} ms in {stalls.count} beats")
    assert stalls.count > 20
    assert stalls.longest_s < GENEROUS_S
