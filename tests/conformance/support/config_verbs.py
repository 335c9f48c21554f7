"""What tests of configs ask again and again: change them, and be told them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)
OF_TOPIC, OF_BROKER, OF_ALL_BROKERS, STATIC, DEFAULT = 1, 2, 3, 4, 5

Step = tuple[str, int, str | None]


def resource(kind: int, name: str, *steps: Step) -> dict[str, Any]:
    configs = [{"name": key, "config_operation": how, "value": text} for key, how, text in steps]
    return {"resource_type": kind, "resource_name": name, "configs": configs}


def alter(
    client: RawClient, kind: int, name: str, *steps: Step, validate_only: bool = False
) -> tuple[ErrorCode, str | None]:
    values = {"resources": [resource(kind, name, *steps)], "validate_only": validate_only}
    (answer,) = client.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, values).responses
    return answer.error_code, answer.error_message


def alter_topic(client: RawClient, topic: str, **configs: str | None) -> None:
    """Sets configs of a topic while the broker runs; None deletes one."""
    steps = [
        (name.replace("_", "."), DELETE if value is None else SET, value)
        for name, value in configs.items()
    ]
    assert alter(client, TOPIC, topic, *steps) == (ErrorCode.none, None)


def replace(client: RawClient, kind: int, name: str, **configs: str) -> ErrorCode:
    steps = [(key.replace("_", "."), SET, text) for key, text in configs.items()]
    values = {"resources": [resource(kind, name, *steps)]}
    return client.ask(ApiKey.ALTER_CONFIGS, 2, values).responses[0].error_code


def describe(client: RawClient, kind: int, name: str, key: str) -> Any:
    """The config as described: None if it is not told."""
    wanted = {"resource_type": kind, "resource_name": name, "configuration_keys": [key]}
    values = {"resources": [wanted], "include_synonyms": True}
    (result,) = client.ask(ApiKey.DESCRIBE_CONFIGS, 4, values).results
    assert result.error_code is ErrorCode.none
    return next(iter(result.configs), None)


def told(client: RawClient, kind: int, name: str, key: str) -> tuple[str | None, int]:
    found = describe(client, kind, name, key)
    return found.value, found.config_source


def becomes(ask: Callable[[], object], wanted: object) -> None:
    """Kafka answers before its broker has seen the change; we don't."""
    wait_until(lambda: ask() == wanted, f"{ask()} instead of {wanted}")
