"""Fetch: byte limits, offsets, epochs, waiting, and sessions. Judged beside Kafka."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    by_partition,
    create_topic,
    fetch,
    fetch_values,
    list_offset,
    produce,
    wait_for_leaders,
)
from tests.conftest import StartBroker

OK = ErrorCode.none
OUT_OF_RANGE = ErrorCode.offset_out_of_range
SIZE = 1000


def sized_batch(size: int = SIZE) -> bytes:
    """A batch of one record, and of exactly that many bytes."""
    data = batch([record(value=bytes(size - 73))])
    return batch([record(value=bytes(2 * size - 73 - len(data)))])


def filled_topic(client: PipelinedClient, *, partitions: int = 1, batches: int = 5) -> str:
    """Each partition holds that many batches of SIZE bytes, one record each."""
    topic, _ = create_topic(client, partitions=partitions)
    data = sized_batch()
    assert len(data) == SIZE
    for _ in range(batches):
        answers = produce(client, topic, dict.fromkeys(range(partitions), data))
        assert {one.error_code for one in answers.values()} == {OK}
    return topic


def sizes(found: dict[int, Any]) -> dict[int, int]:
    return {index: len(one.records or b"") for index, one in found.items()}


class TestLimits:
    def test_a_partition_gives_no_more_than_it_may(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, partitions=2)
        found = fetch(client, topic, {0: 0, 1: 0}, partition_max_bytes=2500)
        # The last batch is cut; clients leave it and ask for it again.
        assert sizes(found) == {0: 2500, 1: 2500}

    def test_all_together_give_no_more_than_they_may(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, partitions=3)
        found = fetch(client, topic, {0: 0, 1: 0, 2: 0}, max_bytes=6500)
        assert sizes(found) == {0: 5000, 1: 1500, 2: 0}

    @pytest.mark.parametrize("limit", ["max_bytes", "partition_max_bytes"])
    @pytest.mark.parametrize("size", [0, 1, SIZE - 1])
    def test_the_first_batch_comes_whole(
        self, client: PipelinedClient, limit: str, size: int
    ) -> None:
        topic = filled_topic(client, partitions=2)
        limits = {"max_bytes": 1 << 20, "partition_max_bytes": 1 << 20, limit: size}
        found = fetch(client, topic, {1: 2, 0: 0}, **limits)
        assert sizes(found) == {1: SIZE, 0: 0}

    def test_a_first_batch_that_does_not_fit_in_what_is_left(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, partitions=2)
        found = fetch(client, topic, {0: 4, 1: 0}, max_bytes=SIZE + 10)
        assert sizes(found) == {0: SIZE, 1: 0}

    def test_an_empty_partition_takes_nothing_from_the_others(
        self, client: PipelinedClient
    ) -> None:
        topic = filled_topic(client, partitions=2)
        found = fetch(client, topic, {0: 5, 1: 0}, max_bytes=1)
        assert sizes(found) == {0: 0, 1: SIZE}


class TestOffsets:
    def test_an_offset_inside_a_batch_gives_the_whole_batch(self, client: PipelinedClient) -> None:
        topic, _ = create_topic(client)
        data = batch([record(number) for number in range(10)])
        for _ in range(2):
            produce(client, topic, {0: data})
        for offset, first in ((0, 0), (9, 0), (10, 10), (19, 10)):
            records = fetch(client, topic, {0: offset})[0].records
            assert int.from_bytes(records[:8], "big") == first
            assert len(records) == (2 - first // 10) * len(data)

    def test_the_end_is_empty_and_beyond_it_is_nothing(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, batches=3)
        at_end = fetch(client, topic, {0: 3})[0]
        assert (at_end.error_code, at_end.high_watermark, at_end.records) == (OK, 3, b"")
        for offset in (4, -1, 1 << 62):
            beyond = fetch(client, topic, {0: offset})[0]
            assert beyond.error_code is OUT_OF_RANGE
            assert (beyond.high_watermark, beyond.log_start_offset) == (-1, -1)
            assert not beyond.records

    def test_what_is_below_the_start_is_out_of_range(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, batches=4)
        wanted = {"name": topic, "partitions": [{"partition_index": 0, "offset": 2}]}
        reply = client.ask(ApiKey.DELETE_RECORDS, 2, {"topics": [wanted], "timeout": 30_000})
        assert reply.topics[0].partitions[0].low_watermark == 2
        assert fetch(client, topic, {0: 1})[0].error_code is OUT_OF_RANGE
        found = fetch(client, topic, {0: 2})[0]
        assert (found.error_code, found.log_start_offset, found.high_watermark) == (OK, 2, 4)
        assert len(found.records) == 2 * SIZE
        assert list_offset(client, topic, -2).offset == 2
        assert list_offset(client, topic, 0).offset == 2

    def test_what_a_partition_tells(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, batches=3)
        for isolation_level in (0, 1):
            found = fetch(client, topic, {0: 1}, isolation_level=isolation_level)[0]
            assert found.error_code is OK
            assert (found.high_watermark, found.last_stable_offset) == (3, 3)
            assert found.log_start_offset == 0
            assert found.preferred_read_replica == -1
            assert len(found.records) == 2 * SIZE
            # Null for who does not ask, empty for who does: there are no transactions here.
            assert found.aborted_transactions == (None, ())[isolation_level]

    def test_a_partition_asked_for_twice_is_answered_once(self, client: PipelinedClient) -> None:
        topic = filled_topic(client, batches=3)
        values = fetch_values(topic, {0: 0})
        partition = values["topics"][0]["partitions"][0]
        values["topics"][0]["partitions"] = [{**partition, "fetch_offset": 2}, partition]
        (found,) = client.ask(ApiKey.FETCH, 12, values).responses[0].partitions
        assert len(found.records) == 3 * SIZE


class TestEpochs:
    def ask(self, client: PipelinedClient, topic: str, epoch: int) -> tuple[ErrorCode, ErrorCode]:
        """What Fetch and ListOffsets say to a client that believes in that leader epoch."""
        values = fetch_values(topic, {0: 0})
        values["topics"][0]["partitions"][0]["current_leader_epoch"] = epoch
        fetched = by_partition(client.ask(ApiKey.FETCH, 12, values))[0].error_code
        listed = list_offset(client, topic, -1, leader_epoch=epoch).error_code
        return fetched, listed

    def test_a_client_that_knows_less_or_more(self, start_broker: StartBroker) -> None:
        broker = start_broker()
        with PipelinedClient(broker.bootstrap_servers) as client:
            topic, _ = create_topic(client)
            assert produce(client, topic, {0: batch()})[0].error_code is OK
            assert self.ask(client, topic, 0) == (OK, OK)
            assert self.ask(client, topic, 1) == (ErrorCode.unknown_leader_epoch,) * 2
        broker.kill()
        broker.start()
        with PipelinedClient(broker.bootstrap_servers) as client:
            wait_for_leaders(client, topic, 1)
            newest = list_offset(client, topic, -1).leader_epoch
            assert newest > 0, "what was led before an unclean end may have been more"
            assert self.ask(client, topic, newest - 1) == (ErrorCode.fenced_leader_epoch,) * 2
            assert self.ask(client, topic, newest) == (OK, OK)
            assert self.ask(client, topic, newest + 1) == (ErrorCode.unknown_leader_epoch,) * 2
            assert list_offset(client, topic, -2).leader_epoch == 0, "that of the record there"


class TestWaiting:
    def test_nothing_comes_before_its_time(self, client: PipelinedClient) -> None:
        topic, _ = create_topic(client)
        start = time.monotonic()
        found = fetch(client, topic, {0: 0}, max_wait_ms=400)[0]
        assert (found.error_code, found.records) == (OK, b"")
        assert 0.35 < time.monotonic() - start < 5

    def test_what_was_waited_for_comes_at_once(
        self, client: PipelinedClient, other: PipelinedClient
    ) -> None:
        topic, _ = create_topic(client)
        values = fetch_values(topic, {0: 0}, max_wait_ms=25_000, min_bytes=SIZE + 1)
        client.send(client.frame(ApiKey.FETCH, 12, values))
        produce(other, topic, {0: sized_batch()})
        assert client.is_silent(0.2), "min_bytes are not there yet"
        start = time.monotonic()
        produce(other, topic, {0: sized_batch()})
        assert sizes(by_partition(client.next_reply())) == {0: 2 * SIZE}
        assert time.monotonic() - start < 5

    def test_more_is_never_waited_for_than_may_come(self, client: PipelinedClient) -> None:
        topic = filled_topic(client)
        values = {"max_wait_ms": 25_000, "min_bytes": 1 << 20}
        start = time.monotonic()
        assert sizes(fetch(client, topic, {0: 0}, max_bytes=2 * SIZE, **values)) == {0: 2 * SIZE}
        assert time.monotonic() - start < 5

    def test_an_error_in_a_partition_is_told_at_once(self, client: PipelinedClient) -> None:
        topic, _ = create_topic(client, partitions=2)
        start = time.monotonic()
        found = fetch(client, topic, {0: 0, 1: 99}, max_wait_ms=25_000)
        assert [one.error_code for one in found.values()] == [OK, OUT_OF_RANGE]
        assert time.monotonic() - start < 5

    def test_an_unknown_partition_does_not_keep_the_others_from_waiting(
        self, client: PipelinedClient
    ) -> None:
        """Else a consumer with one deleted topic would ask without a pause."""
        topic, _ = create_topic(client)
        start = time.monotonic()
        found = fetch(client, topic, {0: 0, 7: 0}, max_wait_ms=400)
        assert {index: one.error_code for index, one in found.items()} == {
            0: OK,
            7: ErrorCode.unknown_topic_or_partition,
        }
        assert 0.35 < time.monotonic() - start < 5

    def test_only_unknown_partitions_are_told_at_once(self, client: PipelinedClient) -> None:
        start = time.monotonic()
        found = fetch(client, "nobody-made-it", {0: 0, 7: 0}, max_wait_ms=25_000)
        codes = [one.error_code for one in found.values()]
        assert codes == [ErrorCode.unknown_topic_or_partition] * 2
        assert time.monotonic() - start < 5

    def test_a_fetch_of_nothing_is_answered_at_once(self, client: PipelinedClient) -> None:
        start = time.monotonic()
        assert fetch(client, "", {}, max_wait_ms=25_000) == {}
        assert time.monotonic() - start < 5
