"""What the APIs that end transactions in partitions and groups are asked; see `api_scenarios`."""

from __future__ import annotations

from collections.abc import Callable

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import PRODUCER_VALUES, Question, World
from tests.conformance.support.markers import marker_values


def ask_write_txn_markers(question: Question, world: World) -> None:
    producer = world.client.ask(ApiKey.INIT_PRODUCER_ID, 4, PRODUCER_VALUES)
    values = marker_values(
        producer.producer_id, 0, world.topic, (0, 9), commit=False, transaction_version=2
    )
    (found,) = question.ask({"markers": [values]}).markers
    assert found.producer_id == producer.producer_id
    codes = {
        (topic.name, partition.partition_index): partition.error_code
        for topic in found.topics
        for partition in topic.partitions
    }
    assert codes == {
        (world.topic, 0): ErrorCode.none,
        (world.topic, 9): ErrorCode.unknown_topic_or_partition,
    }


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.WRITE_TXN_MARKERS: ask_write_txn_markers,
}
