"""How the console consumer prints records, against what Kafka's formatter prints."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from kstore.cli.errors import CallError
from kstore.cli.record_format import RecordFormat, as_json


def message(**changes: object) -> Message:
    values: dict[str, object] = {
        "topic": "t",
        "partition": 3,
        "offset": 42,
        "key": b"key",
        "value": b"value",
        "headers": [("h0", b"v0"), ("h1", None)],
        "timestamp": (TIMESTAMP_CREATE_TIME, 1000),
        "leader_epoch": 5,
    }
    given = {name: value for name, value in {**values, **changes}.items() if value is not None}
    return Message(**given)  # type: ignore[arg-type]


def everything(**properties: str) -> RecordFormat:
    fields = ("timestamp", "partition", "offset", "delivery", "epoch", "headers", "key")
    return RecordFormat({f"print.{name}": "true" for name in fields} | properties)


def test_only_the_value_is_printed_by_default() -> None:
    assert RecordFormat({}).line(message()) == b"value\n"


def test_everything_is_printed_in_kafkas_order() -> None:
    assert everything().line(message()) == (
        b"CreateTime:1000\tPartition:3\tOffset:42\tDelivery:NOT_PRESENT\tEpoch:5"
        b"\th0:v0,h1:null\tkey\tvalue\n"
    )


def test_what_a_record_has_not_is_said_so() -> None:
    bare = message(key=None, value=None, headers=None, timestamp=(0, -1), leader_epoch=None)
    assert everything().line(bare) == (
        b"NO_TIMESTAMP\tPartition:3\tOffset:42\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT"
        b"\tNO_HEADERS\tnull\tnull\n"
    )


def test_separators_and_the_null_literal_may_be_set() -> None:
    line = everything(
        **{
            "key.separator": "|",
            "line.separator": ";",
            "headers.separator": "&",
            "null.literal": "NULL",
            "print.timestamp": "false",
        }
    ).line(message(value=None))
    assert line == b"Partition:3|Offset:42|Delivery:NOT_PRESENT|Epoch:5|h0:v0&h1:NULL|key|NULL;"


def test_without_a_value_the_last_field_ends_the_line() -> None:
    properties = {"print.key": "true", "print.value": "false"}
    assert RecordFormat(properties).line(message()) == b"key\n"
    assert RecordFormat({"print.value": "false"}).line(message()) == b""


def test_log_append_time_is_named() -> None:
    line = RecordFormat({"print.timestamp": "true"}).line(
        message(timestamp=(TIMESTAMP_LOG_APPEND_TIME, 7))
    )
    assert line == b"LogAppendTime:7\tvalue\n"


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("ShortDeserializer", b"\xff\xfe", b"-2"),
        ("IntegerDeserializer", b"\x00\x00\x01\x00", b"256"),
        ("LongDeserializer", b"\x00" * 7 + b"\x09", b"9"),
        ("DoubleDeserializer", b"\x3f\xf8" + b"\x00" * 6, b"1.5"),
        ("FloatDeserializer", b"\x3f\xc0\x00\x00", b"1.5"),
        ("StringDeserializer", b"text", b"text"),
        ("UUIDDeserializer", str(UUID(int=7)).encode(), str(UUID(int=7)).encode()),
    ],
)
def test_values_are_deserialized_by_kafkas_names(name: str, data: bytes, text: bytes) -> None:
    properties = {"value.deserializer": f"org.apache.kafka.common.serialization.{name}"}
    assert RecordFormat(properties).line(message(value=data)) == text + b"\n"
    assert RecordFormat(properties).line(message(value=None)) == b"null\n"


def test_bytes_that_are_no_such_value_are_an_error() -> None:
    with pytest.raises(ValueError, match="5 bytes can't be deserialized"):
        RecordFormat({"value.deserializer": "LongDeserializer"}).line(message())


def test_an_unknown_deserializer_is_a_wrong_call() -> None:
    with pytest.raises(CallError, match=r"key.deserializer=com.example.Own: want one of "):
        RecordFormat({"key.deserializer": "com.example.Own"})


def test_a_record_as_json_is_one_line() -> None:
    line = as_json(message(value="grün".encode()))
    assert line.endswith(b"\n")
    assert "grün".encode() in line
    assert json.loads(line) == {
        "topic": "t",
        "partition": 3,
        "offset": 42,
        "timestamp": 1000,
        "timestamp_type": "CreateTime",
        "headers": [{"key": "h0", "value": "v0"}, {"key": "h1", "value": None}],
        "key": "key",
        "value": "grün",
    }


def test_bytes_that_are_no_text_are_base64_in_json() -> None:
    row = json.loads(as_json(message(key=None, value=b"\xff\x00", headers=None)))
    assert row["key"] is None
    assert row["value_base64"] == "/wA="
    assert "value" not in row
