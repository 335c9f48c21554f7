"""kstore: this checkout, with nothing set but what a case asks for; deleted files go at once."""

from __future__ import annotations

from bench.brokers.kind import Broker, Kind

KIND = Kind(
    name="kstore",
    version="this checkout",
    why_unavailable=lambda: None,
    make=Broker,
    settings={"log.segment.delete.delay.ms": 0},
)
