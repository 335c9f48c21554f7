"""What DescribeConfigs tells, beside a real Kafka: docs/configs.md lists every difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kstore.configs import BROKER_CONFIGS, TOPIC_CONFIGS
from kstore.wire.versions import ApiKey
from tests.conformance.judges.kafka import KafkaProcess, KafkaTools
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic

TOPIC, BROKER = 2, 4
DEFAULT = 5
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "kafka-configs.json").read_text())
NUMBERS = {"boolean": 1, "string": 2, "int": 3, "short": 4, "long": 5, "double": 6, "list": 7}

Described = dict[str, dict[str, Any]]


def described(client: RawClient, kind: int, name: str) -> Described:
    """Type, default and whether it is read-only, of each config."""
    wanted = {"resource_type": kind, "resource_name": name, "configuration_keys": None}
    values = {"resources": [wanted], "include_synonyms": True}
    (result,) = client.ask(ApiKey.DESCRIBE_CONFIGS, 4, values).results
    return {
        one.name: {
            "type": one.config_type,
            "default": portable(default_of(one)),
            "read_only": one.read_only,
        }
        for one in result.configs
    }


def portable(default: str | None) -> str | None:
    """A default of Kafka's that names this machine's directory for temporary files, without it."""
    head, found, tail = (default or "").partition("/kafka-logs")
    return "{temporary}/kafka-logs" if found and not tail and "/" in head else default


def default_of(config: Any) -> str | None:
    """Its default, also where something else is in force; None where it is not told."""
    told = [
        one.value for one in config.synonyms if one.source == DEFAULT and one.name == config.name
    ]
    if told:
        return str(told[-1])
    return config.value if config.config_source == DEFAULT else None  # type: ignore[no-any-return]


def described_by(process: BrokerProcess) -> tuple[Described, Described]:
    with RawClient(process.bootstrap_servers) as client:
        name, _ = create_topic(client)
        return described(client, TOPIC, name), described(client, BROKER, "1")


@pytest.mark.jdk
def test_kafka_tells_what_the_page_is_made_from(tmp_path: Path, kafka_tools: KafkaTools) -> None:
    with KafkaProcess(tmp_path) as kafka:
        topic, broker = described_by(kafka)
    assert topic == GOLDEN["topic"]
    assert broker == GOLDEN["broker"]


def test_topics_are_described_as_kafkas_are(broker: BrokerProcess) -> None:
    topic, _ = described_by(broker)
    assert {name: told for name, told in topic.items() if not is_ours(name)} == GOLDEN["topic"]
    named = {"kstore.acks.all.flush", "kstore.read.only"}
    ours = named if type(broker) is BrokerProcess else set()
    assert {name for name in topic if is_ours(name)} == ours


def is_ours(name: str) -> bool:
    return name.startswith("kstore.")


def test_a_broker_is_described_as_the_table_says(tmp_path: Path) -> None:
    """So the page, which is made from the table, lists every difference from Kafka."""
    with BrokerProcess(tmp_path) as process:
        _, broker = described_by(process)
    given = {"log.dirs", "listeners"}  # by the command line
    assert {name: told for name, told in broker.items() if name not in given} == {
        name: {
            "type": NUMBERS[config.type.value],
            "default": config.format(config.default),
            "read_only": not config.dynamic,
        }
        for name, config in BROKER_CONFIGS.items()
        if name not in given and not config.internal
    }
    assert given <= broker.keys()
    assert {name for name in set(TOPIC_CONFIGS) - set(GOLDEN["topic"]) if not is_ours(name)} == {
        "internal.segment.bytes"
    }
