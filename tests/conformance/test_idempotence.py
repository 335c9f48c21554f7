"""Producers with sequences: what is taken, what is known already, what is out of order.

Each story is a list of batches of one producer, one after the other, and Kafka's answers.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from kio.schema.errors import ErrorCode

from tests.conformance.support.batches import batch, record
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    create_topic,
    end_offset,
    produce,
    wait_for_leaders,
)
from tests.conftest import StartBroker

OK = ErrorCode.none
OUT_OF_ORDER = ErrorCode.out_of_order_sequence_number
STALE = ErrorCode.invalid_producer_epoch
LAST_SEQUENCE = 2**31 - 1


class Step(NamedTuple):
    """A batch, and what is answered: an error, or the offset at which it stands."""

    epoch: int
    sequence: int
    count: int
    answer: ErrorCode | int


STORIES = {
    "one after the other": [Step(0, 0, 1, 0), Step(0, 1, 3, 1), Step(0, 4, 1, 4)],
    "sent again": [
        Step(0, 0, 2, 0),
        Step(0, 0, 2, 0),
        Step(0, 2, 1, 2),
        Step(0, 2, 1, 2),
        Step(0, 0, 2, 0),
        Step(0, 3, 1, 3),
    ],
    "sent again after five": [
        *(Step(0, number, 1, number) for number in range(6)),
        *(Step(0, number, 1, number) for number in (1, 2, 3, 4, 5)),
        # Kafka keeps five batches; older than these is out of order, and so is lost on nobody.
        Step(0, 0, 1, OUT_OF_ORDER),
        Step(0, 6, 1, 6),
    ],
    "a part of what was sent": [
        Step(0, 0, 3, 0),
        Step(0, 0, 2, OUT_OF_ORDER),
        Step(0, 1, 2, OUT_OF_ORDER),
        Step(0, 0, 4, OUT_OF_ORDER),
        Step(0, 3, 1, 3),
    ],
    "a gap": [Step(0, 0, 1, 0), Step(0, 2, 1, OUT_OF_ORDER), Step(0, 1, 1, 1), Step(0, 2, 1, 2)],
    "a producer that nobody knows may begin anywhere": [Step(0, 17, 1, 0), Step(0, 18, 1, 1)],
    "a new epoch begins with 0": [
        Step(0, 0, 1, 0),
        Step(1, 1, 1, OUT_OF_ORDER),
        Step(1, 0, 1, 1),
        Step(0, 1, 1, STALE),
        Step(0, 0, 1, STALE),
        Step(1, 0, 1, 1),
        Step(3, 0, 2, 2),
    ],
    "sequences wrap": [
        Step(0, LAST_SEQUENCE - 1, 1, 0),
        Step(0, LAST_SEQUENCE, 2, 1),
        Step(0, 1, 1, 3),
        Step(0, LAST_SEQUENCE, 2, 1),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
def test_a_story(client: PipelinedClient, steps: list[Step]) -> None:
    topic, _ = create_topic(client)
    answers: list[ErrorCode | int] = []
    for step in steps:
        records = [record(number) for number in range(step.count)]
        data = batch(
            records, producer_id=4711, producer_epoch=step.epoch, base_sequence=step.sequence
        )
        answer = produce(client, topic, {0: data})[0]
        answers.append(answer.base_offset if answer.error_code is OK else answer.error_code)
    assert answers == [step.answer for step in steps]
    good = {step.answer: step.count for step in steps if type(step.answer) is int}
    assert end_offset(client, topic) == sum(good.values())


def test_producers_do_not_disturb_each_other(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    for number in range(3):
        for producer_id in (1, 2):
            data = batch(producer_id=producer_id, producer_epoch=0, base_sequence=number)
            assert produce(client, topic, {0: data})[0].error_code is OK
    other, _ = create_topic(client)
    data = batch(producer_id=1, producer_epoch=0, base_sequence=3)
    assert produce(client, other, {0: data})[0].base_offset == 0
    assert end_offset(client, topic) == 6


def test_an_error_in_a_sequence_is_that_of_its_partition(client: PipelinedClient) -> None:
    topic, _ = create_topic(client, partitions=3)
    first = batch(producer_id=7, producer_epoch=0, base_sequence=0)
    assert produce(client, topic, {1: first})[1].error_code is OK
    late = batch(producer_id=7, producer_epoch=0, base_sequence=5)
    answers = produce(client, topic, {0: first, 1: late, 2: batch()})
    assert [answers[index].error_code for index in range(3)] == [OK, OUT_OF_ORDER, OK]


def test_sequences_survive_a_restart(start_broker: StartBroker) -> None:
    broker = start_broker()
    batches = [
        batch([record(value=b"%d" % n)], producer_id=9, producer_epoch=0, base_sequence=n)
        for n in range(7)
    ]
    with PipelinedClient(broker.bootstrap_servers) as client:
        topic, _ = create_topic(client)
        for data in batches[:6]:
            assert produce(client, topic, {0: data})[0].error_code is OK
    broker.restart()
    with PipelinedClient(broker.bootstrap_servers) as client:
        wait_for_leaders(client, topic, 1)
        answers = [produce(client, topic, {0: batches[n]})[0] for n in (0, 4, 5, 6)]
    offsets = [one.base_offset if one.error_code is OK else one.error_code for one in answers]
    # Only the last batch of a producer is in a snapshot: what is older is out of order.
    assert offsets == [OUT_OF_ORDER, OUT_OF_ORDER, 5, 6]
