"""The parser of configs: a whole server.properties."""

from __future__ import annotations

from kstore.configs import ConfigError, load, parse_properties
from tests.support.parsers import Parser, register

SERVER_PROPERTIES = """\
# Kafka's own example, shortened
node.id=1
listeners=PLAINTEXT://:9092
log.dirs=/var/lib/\\
kstore
num.partitions = 3
log.retention.hours: 168
group.initial.rebalance.delay.ms 0
auto.create.topics.enable=\\u0074rue
"""

register(
    Parser(
        "server.properties",
        lambda data: load(parse_properties(data.decode("iso-8859-1"))),
        lambda: [SERVER_PROPERTIES.encode()],
        ConfigError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
