"""message.timestamp.type=LogAppendTime: the broker's clock counts, in every place that tells it."""

from __future__ import annotations

import struct
import time

from kio.schema.errors import ErrorCode

from kstore.log.records import iterate_records
from tests.conformance.support.api_scenarios import record_batch
from tests.conformance.support.config_verbs import alter_topic
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, fetch, list_offset, produce

OK = ErrorCode.none
LOG_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
MAX_TIMESTAMP = -3
LOG_APPEND_TIME_BIT = 0x08
ATTRIBUTES_POSITION, MAX_TIMESTAMP_POSITION = 21, 35


def test_the_time_of_the_append_is_told_everywhere(client: RawClient) -> None:
    name, _ = create_topic(client, configs=LOG_APPEND_TIME)
    sent = record_batch(b"key", b"value")
    before = int(time.time() * 1000)
    first = produce(client, name, {0: sent})[0]
    time.sleep(0.01)  # so that the two appends differ in time
    second = produce(client, name, {0: sent})[0]
    after = int(time.time() * 1000)
    times = [int(one.log_append_time.timestamp() * 1000) for one in (first, second)]
    assert [one.error_code for one in (first, second)] == [OK, OK]
    assert before <= times[0] < times[1] <= after

    found = fetch(client, name, {0: 0})[0]
    records = list(iterate_records(found.records))
    assert [record.timestamp_ms for record in records] == times
    (attributes,) = struct.unpack_from(">h", found.records, ATTRIBUTES_POSITION)
    (largest,) = struct.unpack_from(">q", found.records, MAX_TIMESTAMP_POSITION)
    assert attributes & LOG_APPEND_TIME_BIT
    assert largest == times[0]

    by_time = list_offset(client, name, times[1])
    assert (by_time.error_code, by_time.offset) == (OK, 1)
    newest = list_offset(client, name, MAX_TIMESTAMP)
    assert newest.error_code is OK
    assert (newest.offset, int(newest.timestamp)) == (1, times[1])
    assert list_offset(client, name, times[1] + 1).offset == -1


def test_a_topic_turns_to_the_time_of_the_append(client: RawClient) -> None:
    name, _ = create_topic(client)
    sent = record_batch(b"key", b"value")
    assert produce(client, name, {0: sent})[0].log_append_time is None
    alter_topic(client, name, message_timestamp_type="LogAppendTime")
    wait_until(
        lambda: produce(client, name, {0: sent})[0].log_append_time is not None,
        "the topic's timestamps are those of the append",
    )
    alter_topic(client, name, message_timestamp_type="CreateTime")
    wait_until(
        lambda: produce(client, name, {0: sent})[0].log_append_time is None,
        "the topic's timestamps are the producer's again",
    )


def test_the_producers_bounds_do_not_count(client: RawClient) -> None:
    bounds = {"message.timestamp.before.max.ms": "0", "message.timestamp.after.max.ms": "0"}
    name, _ = create_topic(client, configs={**LOG_APPEND_TIME, **bounds})
    assert produce(client, name, {0: record_batch(b"key", b"value")})[0].error_code is OK
