"""Transactions in partitions, by raw requests: batches, markers, and what readers are told.

No transaction coordinator takes part; the tests write the markers as one would.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ADVERTISED, ApiKey
from tests.conformance.support.batches import batch
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.markers import (
    UNVERIFIED,
    RawProducer,
    marker_values,
    write_markers,
)
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    create_topic,
    fetch,
    fetch_values,
    list_offset,
    new_name,
    produce,
    produce_values,
    wait_for_leaders,
)
from tests.conftest import SETTINGS, StartBroker, broker_class

OK = ErrorCode.none
COMMITTED, UNCOMMITTED = 1, 0
ONE, OTHER = 4711, 4712


@pytest.fixture(scope="module")
def unverified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {**SETTINGS, **UNVERIFIED}
    with broker_class()(tmp_path_factory.mktemp("unverified"), settings) as process:
        yield process


@pytest.fixture
def client(unverified: BrokerProcess) -> Iterator[PipelinedClient]:
    with PipelinedClient(unverified.bootstrap_servers) as connected:
        yield connected


def stable(client: PipelinedClient, topic: str) -> int:
    return int(list_offset(client, topic, -1, isolation_level=COMMITTED).offset)


def test_every_version_of_fetch_tells_what_is_stable_and_what_was_aborted(
    client: PipelinedClient,
) -> None:
    topic, topic_id = create_topic(client)
    one, other = RawProducer(client, topic, ONE), RawProducer(client, topic, OTHER)
    assert one.send().base_offset == 0
    assert other.send().base_offset == 1
    assert one.send().base_offset == 2
    assert one.end(commit=False) == {0: OK}  # at 3
    assert one.send().base_offset == 4
    assert other.end(commit=True) == {0: OK}  # at 5
    for version in range(ADVERTISED[ApiKey.FETCH].min, ADVERTISED[ApiKey.FETCH].max + 1):
        name = topic_id if version >= 13 else topic
        for isolation in (UNCOMMITTED, COMMITTED):
            values = fetch_values(name, {0: 0}, isolation_level=isolation)
            reply = client.ask(ApiKey.FETCH, version, values)
            (found,) = reply.responses[0].partitions
            told = (found.error_code, found.high_watermark, found.last_stable_offset)
            assert told == (OK, 6, 4), version
            aborted = found.aborted_transactions
            if isolation == UNCOMMITTED:
                assert aborted is None, version
            else:
                assert [(a.producer_id, a.first_offset) for a in aborted] == [(ONE, 0)], version
    sizes = [
        len(fetch(client, topic, {0: 4}, isolation_level=isolation)[0].records or b"")
        for isolation in (UNCOMMITTED, COMMITTED)
    ]
    assert sizes[0] > sizes[1] == 0
    assert fetch(client, topic, {0: 4}, isolation_level=COMMITTED)[0].aborted_transactions == ()


@pytest.mark.parametrize("version", [1, 2])
def test_list_offsets_ends_where_all_is_decided(client: PipelinedClient, version: int) -> None:
    topic, _ = create_topic(client)
    produce(client, topic, {0: batch(base_timestamp_ms=1000)})
    one = RawProducer(client, topic, ONE)
    one.send(base_timestamp_ms=2000)
    produce(client, topic, {0: batch(base_timestamp_ms=3000)})

    def ask(timestamp: int, isolation: int) -> int:
        return int(list_offset(client, topic, timestamp, isolation_level=isolation).offset)

    assert [ask(-1, level) for level in (UNCOMMITTED, COMMITTED)] == [3, 1]
    assert [ask(1500, level) for level in (UNCOMMITTED, COMMITTED)] == [1, -1]
    assert [ask(1000, level) for level in (UNCOMMITTED, COMMITTED)] == [0, 0]
    assert one.end(commit=True, version=version) == {0: OK}
    assert [ask(-1, level) for level in (UNCOMMITTED, COMMITTED)] == [4, 4]
    assert ask(1500, COMMITTED) == 1


def test_markers_for_many_partitions_and_producers(client: PipelinedClient) -> None:
    topic, _ = create_topic(client, partitions=3)
    one, other = RawProducer(client, topic, ONE), RawProducer(client, topic, OTHER)
    for partition in range(3):
        one.send(partition)
    other.send(1)
    unknown = ErrorCode.unknown_topic_or_partition
    found = write_markers(
        client,
        # First, or Kafka never answers: FINDINGS.md.
        marker_values(OTHER, 0, new_name("nobody-made"), (0,), commit=False),
        marker_values(ONE, 0, topic, (0, 1, 2, 7), commit=True),
        marker_values(OTHER, 0, topic, (1,), commit=False),
    )
    assert found[ONE] == {0: OK, 1: OK, 2: OK, 7: unknown}
    assert found[OTHER] in ({1: OK, 0: unknown}, {0: unknown, 1: OK})
    assert stable(client, topic) == 2
    assert write_markers(client) == {}


def test_markers_that_come_late_or_again(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    one = RawProducer(client, topic, ONE)

    def write(epoch: int, *, coordinator_epoch: int = 5, transaction_version: int = 0) -> ErrorCode:
        values = marker_values(
            ONE,
            epoch,
            topic,
            (0,),
            commit=True,
            coordinator_epoch=coordinator_epoch,
            transaction_version=transaction_version,
        )
        return write_markers(client, values, version=2)[ONE][0]

    assert write(3) is OK, "there was no transaction"
    assert write(3) is OK, "the same marker again"
    assert write(2) is ErrorCode.invalid_producer_epoch
    assert write(3, coordinator_epoch=4) is ErrorCode.transaction_coordinator_fenced
    one.epoch = 3
    assert one.send().error_code is OK
    assert write(3, transaction_version=2) is ErrorCode.invalid_producer_epoch, "not of version 2"
    assert stable(client, topic) == 2
    assert write(4, transaction_version=2) is OK
    assert write(4, transaction_version=2) is OK, "the same marker again"
    assert stable(client, topic) == 5
    assert one.send().error_code is ErrorCode.invalid_producer_epoch


def test_batches_that_no_transaction_may_have(client: PipelinedClient) -> None:
    topic, _ = create_topic(client, partitions=2)
    one, other = RawProducer(client, topic, ONE), RawProducer(client, topic, OTHER)
    values = produce_values(topic, {0: one.batch(), 1: batch()})
    reply = client.ask(ApiKey.PRODUCE, 9, values)
    codes = {part.error_code for part in reply.responses[0].partition_responses}
    assert codes == {ErrorCode.transactional_id_authorization_failed}, "nothing of it is taken"
    values = produce_values(topic, {0: one.batch(), 1: other.batch()})
    reply = client.ask(ApiKey.PRODUCE, 9, values | {"transactional_id": "made up"})
    codes = {part.error_code for part in reply.responses[0].partition_responses}
    assert codes == {ErrorCode.invalid_producer_id_mapping}
    control = one.send(attributes=0x30)
    assert control.error_code is ErrorCode.invalid_record
    assert one.send(base_sequence=0).base_offset == 0
    assert one.send(base_sequence=2).error_code is ErrorCode.out_of_order_sequence_number
    assert one.send(attributes=0, base_sequence=1).error_code is ErrorCode.invalid_txn_state
    assert one.send(base_sequence=0).base_offset == 0, "a duplicate"
    assert one.end(commit=True) == {0: OK}
    plain = produce_values(topic, {0: batch()})
    reply = client.ask(ApiKey.PRODUCE, 9, plain | {"transactional_id": "made up"})
    assert reply.responses[0].partition_responses[0].error_code is OK


def test_deleted_records_of_an_open_transaction_hold_back_nobody(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    one = RawProducer(client, topic, ONE)
    one.send()
    one.send()
    assert stable(client, topic) == 0
    deleted = {"topics": [{"name": topic, "partitions": [{"partition_index": 0, "offset": -1}]}]}
    reply = client.ask(ApiKey.DELETE_RECORDS, 2, {**deleted, "timeout": TIMEOUT_MS})
    assert reply.topics[0].partitions[0].low_watermark == 2
    assert stable(client, topic) == 2
    one.send()
    assert stable(client, topic) == 2
    one.end(commit=True)
    assert stable(client, topic) == 4


@pytest.mark.parametrize("kill", [pytest.param(False, marks=pytest.mark.slow), True])
def test_open_transactions_are_open_after_a_restart(start_broker: StartBroker, kill: bool) -> None:
    broker = start_broker(UNVERIFIED)
    with PipelinedClient(broker.bootstrap_servers) as client:
        topic, _ = create_topic(client)
        one, other = RawProducer(client, topic, ONE), RawProducer(client, topic, OTHER)
        for producer in (one, other, one):
            assert producer.send().error_code is OK
        assert other.end(commit=False) == {0: OK}
        assert stable(client, topic) == 0
    if kill:
        broker.kill()
        broker.start()
    else:
        broker.restart()
    with PipelinedClient(broker.bootstrap_servers) as client:
        wait_for_leaders(client, topic, 1)
        assert stable(client, topic) == 0
        values = {"topics": [{"name": topic, "partition_indexes": [0]}]}
        reply = client.ask(ApiKey.DESCRIBE_PRODUCERS, 0, values)
        active = reply.topics[0].partitions[0].active_producers
        open_since = {one.producer_id: one.current_txn_start_offset for one in active}
        assert open_since == {ONE: 0, OTHER: -1}
        one.client = client
        assert one.send().base_offset == 4
        assert one.end(commit=True) == {0: OK}
        found = fetch(client, topic, {0: 0}, isolation_level=COMMITTED)[0]
        assert found.last_stable_offset == 6
        assert [(a.producer_id, a.first_offset) for a in found.aborted_transactions] == [(OTHER, 1)]
