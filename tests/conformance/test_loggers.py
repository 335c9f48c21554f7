"""Levels of loggers, told and changed over the wire; and resources that have no configs here."""

from __future__ import annotations

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.config_verbs import APPEND, DELETE, SET, alter, replace
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import is_kafka

LOGGER, CLIENT_METRICS, GROUP = 8, 16, 32
OF_LOGGER = 6
OK = ErrorCode.none
BAD_CONFIG = ErrorCode.invalid_config
BAD_REQUEST = ErrorCode.invalid_request


def configs(client: RawClient, kind: int, name: str) -> tuple[ErrorCode, dict[str, str | None]]:
    values = {"resources": [{"resource_type": kind, "resource_name": name}]}
    (result,) = client.ask(ApiKey.DESCRIBE_CONFIGS, 4, values).results
    if kind == LOGGER:
        assert {one.config_source for one in result.configs} <= {OF_LOGGER}
    return result.error_code, {one.name: one.value for one in result.configs}


def levels(client: RawClient) -> dict[str, str | None]:
    code, told = configs(client, LOGGER, "1")
    assert code is OK
    return told


def some_logger(client: RawClient) -> str:
    return next(name for name in levels(client) if name != "root")


def test_levels_are_set_and_follow_the_logger_above_again(client: RawClient) -> None:
    name = some_logger(client)
    before = levels(client)[name]
    for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        assert alter(client, LOGGER, "1", (name, SET, level)) == (OK, None)
        assert levels(client)[name] == level
    steps = ((name, SET, "INFO"), ("root", SET, "WARN"))
    assert alter(client, LOGGER, "1", *steps, validate_only=True) == (OK, None)
    assert levels(client)[name] == "FATAL"
    assert alter(client, LOGGER, "1", (name, DELETE, None))[0] is OK
    assert levels(client)[name] == before


def test_changes_of_levels_that_are_refused_change_nothing(client: RawClient) -> None:
    name = some_logger(client)
    before = levels(client)
    good = (name, SET, "FATAL")
    for step, code in (
        (("no.such.logger", SET, "INFO"), BAD_CONFIG),
        (("no.such.logger", DELETE, None), BAD_CONFIG),
        (("root", SET, "LOUD"), BAD_CONFIG),
        (("root", SET, "info"), BAD_CONFIG),
        (("root", SET, None), BAD_REQUEST),
        (("root", DELETE, None), BAD_REQUEST),
        (("root", APPEND, "INFO"), BAD_REQUEST),
    ):
        assert alter(client, LOGGER, "1", good, step)[0] is code, step
    for node in ("2", "", "one"):
        assert alter(client, LOGGER, node, good)[0] is BAD_REQUEST
        assert configs(client, LOGGER, node) == (BAD_REQUEST, {})
    assert replace(client, LOGGER, "1", root="INFO") is BAD_REQUEST
    after = levels(client)  # Kafka may have made more of them meanwhile
    assert {key: after[key] for key in before} == before


def test_a_level_changes_what_is_logged(broker: BrokerProcess, client: RawClient) -> None:
    if is_kafka(broker):
        pytest.skip("what Kafka logs, and where, is its own")
    assert alter(client, LOGGER, "1", ("kstore.loggers", SET, "ERROR"))[0] is OK
    assert alter(client, LOGGER, "1", ("kstore.log", SET, "INFO"))[0] is OK
    assert alter(client, LOGGER, "1", ("kstore.loggers", DELETE, None))[0] is OK
    wait_until(lambda: "logger=kstore.loggers level=unset" in broker.output(), "it is logged")
    assert "logger=kstore.log level=INFO" not in broker.output()


@pytest.mark.parametrize(
    ("kind", "code"), [(GROUP, BAD_CONFIG), (CLIENT_METRICS, BAD_REQUEST)], ids=["group", "metrics"]
)
def test_resources_without_configs(
    broker: BrokerProcess, client: RawClient, kind: int, code: ErrorCode
) -> None:
    told, found = configs(client, kind, "nobody")
    assert told is OK
    if not is_kafka(broker):
        assert found == {}
    assert configs(client, kind, "") == (BAD_REQUEST, {})
    assert alter(client, kind, "nobody", ("no.such.config", SET, "1"))[0] is code
    assert alter(client, kind, "nobody", ("no.such.config", DELETE, None))[0] is OK
    assert replace(client, kind, "nobody", no_such_config="1") is code
    if not is_kafka(broker):
        # What would have no effect is not taken.
        step = ("consumer.session.timeout.ms", SET, "45000")
        assert alter(client, GROUP, "nobody", step)[0] is BAD_CONFIG
