"""Kafka's cleaner alone, on a partition's directory: `CleanLog.java`, run from its source."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.brokers.kafka import HEAP, PERFORMANCE
from tests.conformance.judges.kafka import HERE, fetch_jars, why_unavailable

__all__ = ["clean", "why_unavailable"]

SOURCE = Path(__file__).parent / "CleanLog.java"
DEADLINE_S = 900


def clean(
    directories: Sequence[Path], *, map_size: int, segment_bytes: int, zstd_level: int
) -> list[dict[str, Any]]:
    """What cleaning each took, one after the other. Raises RuntimeError with Java's own words."""
    done = subprocess.run(
        [
            *("java", *HEAP, *PERFORMANCE),
            f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
            *("-cp", f"{fetch_jars()}/*", str(SOURCE)),
            *(str(map_size), str(segment_bytes), str(zstd_level)),
            *map(str, directories),
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Kafka's cleaner: {done.stderr.strip()[-800:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
