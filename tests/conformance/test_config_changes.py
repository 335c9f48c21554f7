"""Configs changed while the broker runs: what is refused, what is told, what takes effect."""

from __future__ import annotations

import socket
import time

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import record_batch
from tests.conformance.support.config_verbs import (
    APPEND,
    BROKER,
    DEFAULT,
    DELETE,
    OF_ALL_BROKERS,
    OF_BROKER,
    OF_TOPIC,
    SET,
    STATIC,
    SUBTRACT,
    TOPIC,
    Step,
    alter,
    becomes,
    describe,
    replace,
    resource,
    told,
)
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, produce
from tests.conftest import StartBroker

OK = ErrorCode.none
BAD_CONFIG = ErrorCode.invalid_config
BAD_REQUEST = ErrorCode.invalid_request

REFUSED = {
    "unknown": ((("no.such.config", SET, "1"),), BAD_CONFIG),
    "the wrong type": ((("retention.ms", SET, "soon"),), BAD_CONFIG),
    "out of range": ((("max.message.bytes", SET, "-1"),), BAD_CONFIG),
    "appended to a number": ((("retention.ms", APPEND, "1"),), BAD_CONFIG),
    "appended to nothing known": ((("no.such.config", APPEND, "1"),), BAD_CONFIG),
    "subtracted from a number": ((("retention.ms", SUBTRACT, "1"),), BAD_CONFIG),
    "without a value": ((("retention.ms", SET, None),), BAD_REQUEST),
    "twice": ((("retention.ms", SET, "1"), ("retention.ms", DELETE, None)), BAD_REQUEST),
    "contradicting": (
        (("min.compaction.lag.ms", SET, "9"), ("max.compaction.lag.ms", SET, "3")),
        BAD_CONFIG,
    ),
    "remote storage": ((("remote.storage.enable", SET, "true"),), BAD_CONFIG),
    "a good one beside a bad one": (
        (("flush.ms", SET, "1"), ("segment.bytes", SET, "x")),
        BAD_CONFIG,
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_change_of_a_topic_is_refused_and_changes_nothing(
    client: RawClient, case: tuple[tuple[Step, ...], ErrorCode]
) -> None:
    name, _ = create_topic(client)
    steps, code = case
    answered, message = alter(client, TOPIC, name, *steps)
    assert answered is code, message
    assert message
    assert told(client, TOPIC, name, "flush.ms")[1] == DEFAULT


def test_resources_that_there_are_not(client: RawClient) -> None:
    step = ("retention.ms", SET, "1")
    unknown, _ = alter(client, TOPIC, "there-is-none", step)
    assert unknown is ErrorCode.unknown_topic_or_partition
    assert alter(client, TOPIC, "..", step)[0] is ErrorCode.invalid_topic_exception
    assert alter(client, TOPIC, "", step)[0] is BAD_REQUEST
    assert alter(client, BROKER, "2", ("message.max.bytes", SET, "1"))[0] is BAD_REQUEST
    assert alter(client, BROKER, "one", ("message.max.bytes", SET, "1"))[0] is BAD_REQUEST
    assert alter(client, 64, "x", step)[0] is BAD_REQUEST


def test_a_resource_named_twice_is_refused_and_others_are_changed(client: RawClient) -> None:
    first, _ = create_topic(client)
    second, _ = create_topic(client)
    step = ("retention.ms", SET, "77")
    wanted = [resource(TOPIC, name, step) for name in (first, second, first)]
    answers = client.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, {"resources": wanted}).responses
    assert [one.error_code for one in answers] == [BAD_REQUEST, OK, BAD_REQUEST]
    becomes(lambda: told(client, TOPIC, second, "retention.ms"), ("77", OF_TOPIC))
    assert told(client, TOPIC, first, "retention.ms")[1] == DEFAULT


def test_set_append_subtract_delete(client: RawClient) -> None:
    name, _ = create_topic(client)
    key = "cleanup.policy"
    for step, value in (
        ((key, APPEND, "compact"), "delete,compact"),
        ((key, APPEND, "compact"), "delete,compact"),
        ((key, SUBTRACT, "delete"), "compact"),
        ((key, SET, "delete"), "delete"),
    ):
        assert alter(client, TOPIC, name, step) == (OK, None)
        becomes(lambda wanted=(value, OF_TOPIC): told(client, TOPIC, name, key) == wanted, True)
    assert alter(client, TOPIC, name, (key, DELETE, None)) == (OK, None)
    becomes(lambda: told(client, TOPIC, name, key), ("delete", DEFAULT))


def test_validate_only_changes_nothing(client: RawClient) -> None:
    name, _ = create_topic(client)
    step = ("retention.ms", SET, "77")
    assert alter(client, TOPIC, name, step, validate_only=True) == (OK, None)
    assert told(client, TOPIC, name, "retention.ms")[1] == DEFAULT


def test_alter_configs_replaces_what_was_there(client: RawClient) -> None:
    name, _ = create_topic(client, configs={"flush.ms": "5"})
    assert replace(client, TOPIC, name, retention_ms="9") is OK
    becomes(lambda: told(client, TOPIC, name, "retention.ms"), ("9", OF_TOPIC))
    assert told(client, TOPIC, name, "flush.ms")[1] == DEFAULT
    assert replace(client, TOPIC, name, retention_ms="soon") is BAD_CONFIG


def test_the_largest_batch_of_a_topic_changes_at_once(client: RawClient) -> None:
    name, _ = create_topic(client)
    batch = record_batch(b"key", b"v" * 2_000)

    def code() -> ErrorCode:
        return produce(client, name, {0: batch})[0].error_code

    assert code() is OK
    alter(client, TOPIC, name, ("max.message.bytes", SET, "1000"))
    becomes(code, ErrorCode.message_too_large)
    alter(client, TOPIC, name, ("max.message.bytes", DELETE, None))
    becomes(code, OK)


def test_acks_all_needs_no_more_replicas_than_there_are(client: RawClient) -> None:
    """Kafka's effective min.insync.replicas: no NOT_ENOUGH_REPLICAS with a single replica."""
    name, _ = create_topic(client)
    alter(client, TOPIC, name, ("min.insync.replicas", SET, "2"))
    becomes(lambda: told(client, TOPIC, name, "min.insync.replicas"), ("2", OF_TOPIC))
    assert produce(client, name, {0: record_batch(b"key", b"value")})[0].error_code is OK


def test_defaults_of_all_brokers_and_of_one(client: RawClient) -> None:
    name, _ = create_topic(client)
    key = "message.max.bytes"
    batch = record_batch(b"key", b"v" * 2_000)

    def code() -> ErrorCode:
        return produce(client, name, {0: batch})[0].error_code

    try:
        assert alter(client, BROKER, "", (key, SET, "1000")) == (OK, None)
        becomes(code, ErrorCode.message_too_large)
        assert told(client, BROKER, "", key) == ("1000", OF_ALL_BROKERS)
        assert told(client, TOPIC, name, "max.message.bytes") == ("1000", OF_ALL_BROKERS)

        assert alter(client, BROKER, "1", (key, SET, "3000")) == (OK, None)
        becomes(code, OK)
        found = describe(client, BROKER, "1", key)
        assert (found.value, found.config_source, found.read_only) == ("3000", OF_BROKER, False)
        assert [(one.name, one.value, one.source) for one in found.synonyms] == [
            (key, "3000", OF_BROKER),
            (key, "1000", OF_ALL_BROKERS),
            (key, "1048588", DEFAULT),
        ]
    finally:
        alter(client, BROKER, "1", (key, DELETE, None))
        alter(client, BROKER, "", (key, DELETE, None))
    becomes(lambda: told(client, BROKER, "1", key), ("1048588", DEFAULT))
    becomes(lambda: describe(client, BROKER, "", key), None)
    becomes(code, OK)


BROKER_REFUSED = {
    "read-only": (("num.partitions", SET, "3"), BAD_REQUEST),
    "the wrong type": (("message.max.bytes", SET, "many"), BAD_REQUEST),
    "out of range": (("log.roll.ms", SET, "0"), BAD_REQUEST),
    "appended to a number": (("message.max.bytes", APPEND, "1"), BAD_CONFIG),
    "appended to nothing known": (("no.such.config", APPEND, "1"), BAD_CONFIG),
    "read-only, but deleted": (("num.partitions", DELETE, None), OK),
}


@pytest.mark.parametrize("case", BROKER_REFUSED.values(), ids=BROKER_REFUSED)
def test_a_change_of_a_broker_is_refused(client: RawClient, case: tuple[Step, ErrorCode]) -> None:
    step, code = case
    assert alter(client, BROKER, "1", step)[0] is code
    assert alter(client, BROKER, "", step)[0] is code
    if code is BAD_REQUEST and step[1] == SET:
        assert replace(client, BROKER, "1", **{step[0]: str(step[2])}) is code
    found = describe(client, BROKER, "1", step[0])
    assert found is None or found.config_source == DEFAULT


def test_changes_survive_a_restart(start_broker: StartBroker) -> None:
    broker = start_broker({"log.roll.hours": 2})
    with RawClient(broker.bootstrap_servers) as client:
        name, _ = create_topic(client)
        # As in Kafka, the hours are in force, but only milliseconds are told as a synonym.
        assert told(client, TOPIC, name, "segment.ms") == ("7200000", DEFAULT)
        assert told(client, BROKER, "1", "log.roll.hours") == ("2", STATIC)
        alter(client, TOPIC, name, ("max.message.bytes", SET, "1000"))
        alter(client, BROKER, "1", ("log.roll.ms", SET, "3600000"))
        becomes(lambda: told(client, TOPIC, name, "segment.ms"), ("3600000", OF_BROKER))
    broker.restart()
    with RawClient(broker.bootstrap_servers) as client:
        becomes(lambda: told(client, TOPIC, name, "segment.ms"), ("3600000", OF_BROKER))
        assert told(client, TOPIC, name, "max.message.bytes") == ("1000", OF_TOPIC)
        becomes(
            lambda: produce(client, name, {0: record_batch(b"k", b"v" * 2_000)})[0].error_code,
            ErrorCode.message_too_large,
        )


def test_the_limit_of_connections_changes_at_once(start_broker: StartBroker) -> None:
    broker = start_broker()
    host, _, port = broker.bootstrap_servers.rpartition(":")

    def admitted() -> bool:
        """Whether a new connection is still open after a while."""
        with socket.create_connection((host, int(port))) as another:
            another.settimeout(0.2)
            try:
                return another.recv(1) != b""
            except TimeoutError:
                return True
            except ConnectionError:
                return False

    with RawClient(broker.bootstrap_servers) as client:
        assert admitted()
        alter(client, BROKER, "1", ("max.connections.per.ip", SET, "1"))
        deadline = time.monotonic() + 10
        while admitted():
            assert time.monotonic() < deadline
        alter(client, BROKER, "1", ("max.connections.per.ip", DELETE, None))
        while not admitted():
            assert time.monotonic() < deadline
