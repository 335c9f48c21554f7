"""Settings for clients: words, files, and Java's names for confluent-kafka's."""

from __future__ import annotations

from pathlib import Path

import pytest

from kstore.cli.errors import CallError
from kstore.cli.properties import client_settings, parse_pairs, read_properties


def test_pairs_split_at_the_first_equals_sign() -> None:
    assert parse_pairs(["a=b=c", "key.separator=", "bare", "a=later"]) == {
        "a": "later",
        "key.separator": "",
        "bare": "",
    }
    assert parse_pairs(None) == {}
    with pytest.raises(CallError):
        parse_pairs(["=value"])


def test_a_file_is_read_as_java_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_bytes(b"# comment\nclient.id = k\xfcstore\nacks: all\n")
    assert read_properties(file) == {"client.id": "küstore", "acks": "all"}
    assert read_properties(None) == {}


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"absent: .*No such file"):
        read_properties(tmp_path / "absent")


def test_settings_of_the_java_client_are_translated() -> None:
    java = {
        "acks": "all",
        "key.serializer": "org.apache.kafka.common.serialization.StringSerializer",
        "max.request.size": "2000000",
        "buffer.memory": "33554432",
        "auto.offset.reset": "none",
        "partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor, "
        "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "ssl.endpoint.identification.algorithm": "",
        "sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        r'username="alice" password="se\"cret=;";',
    }
    assert client_settings(java) == {
        "acks": "all",
        "message.max.bytes": "2000000",
        "queue.buffering.max.kbytes": "32768",
        "auto.offset.reset": "error",
        "partition.assignment.strategy": "range,cooperative-sticky",
        "ssl.endpoint.identification.algorithm": "none",
        "sasl.username": "alice",
        "sasl.password": 'se"cret=;',
    }


def test_a_number_that_is_none_is_a_wrong_call() -> None:
    with pytest.raises(CallError, match=r"buffer.memory=lots"):
        client_settings({"buffer.memory": "lots"})
