"""Apache Kafka: one node, KRaft, with its own defaults and the JVM flags of its start script.

The flags are those of `kafka-server-start.sh` and `kafka-run-class.sh`; the jars are the judges'.
Logging is reduced to warnings, which is to Kafka's advantage.
"""

from __future__ import annotations

from bench.brokers.kind import Broker, Kind
from tests.conformance.judges.kafka import (
    HERE,
    TOOLS,
    VERSION,
    KafkaProcess,
    fetch_jars,
    why_unavailable,
)

HEAP = ["-Xmx1G", "-Xms1G"]
PERFORMANCE = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
]


class Kafka(Broker, KafkaProcess):
    def _program(self) -> list[str]:
        return [
            "java",
            *HEAP,
            *PERFORMANCE,
            f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
            "-cp",
            f"{fetch_jars()}/*",
            TOOLS["broker"],
            str(self._properties_file),
        ]


KIND = Kind(
    name="kafka",
    version=VERSION,
    why_unavailable=why_unavailable,
    make=Kafka,
    settings={"log.segment.delete.delay.ms": 0},
    jvm=True,
)
