"""The brokers that are compared: how each is fetched, started and told its settings.

Each runs as a process of its own over a directory of its own, on a free port of the loopback, and
is ended by its process id.
"""

from __future__ import annotations

from bench.brokers import crabka, kafka, kstore, tansu
from bench.brokers.kind import Kind

BROKERS: dict[str, Kind] = {
    kind.name: kind for kind in (kstore.KIND, kafka.KIND, tansu.KIND, crabka.KIND)
}
