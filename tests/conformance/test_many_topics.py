"""A thousand topics at once, while somebody else asks something cheap: the loop must not stall."""

from __future__ import annotations

import time

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.prober import Prober
from tests.conformance.support.verbs import (
    create_values,
    deletion_values,
    describe_topic,
    is_kafka,
    produce,
    wait_for_leaders,
)

OK = ErrorCode.none
COUNT = 1000
GENEROUS_S = 1.0
"""What nobody may have to wait meanwhile. What is measured is printed."""


def test_a_thousand_topics_made_told_and_deleted(broker: BrokerProcess) -> None:
    names = [f"of-a-thousand-{number}" for number in range(COUNT)]
    longest: dict[str, float] = {}
    with (
        PipelinedClient(broker.bootstrap_servers) as client,
        PipelinedClient(broker.bootstrap_servers) as other,
    ):
        frame = client.frame(ApiKey.CREATE_TOPICS, 7, create_values(*names))
        with Prober(broker.bootstrap_servers) as prober:
            start = time.monotonic()
            client.send(frame)
            reply = client.next_frame()
            took_s = time.monotonic() - start
        longest["create"] = prober.longest_s
        made = client.decode(reply).topics
        assert {topic.error_code for topic in made} == {OK}
        assert [topic.name for topic in made] == names or is_kafka(broker)
        for name in (names[0], names[-1]):
            wait_for_leaders(other, name, 1)
            assert produce(other, name, {0: batch()})[0].error_code is OK
        frame = client.frame(ApiKey.METADATA, 12, {"topics": None})
        with Prober(broker.bootstrap_servers) as prober:
            client.send(frame)
            reply = client.next_frame()
        longest["metadata"] = prober.longest_s
        assert {topic.name for topic in client.decode(reply).topics} >= set(names)
        frame = client.frame(ApiKey.DELETE_TOPICS, 6, deletion_values(*names))
        with Prober(broker.bootstrap_servers) as prober:
            client.send(frame)
            reply = client.next_frame()
        longest["delete"] = prober.longest_s
        assert {topic.error_code for topic in client.decode(reply).responses} == {OK}
        if not is_kafka(broker):
            assert describe_topic(other, names[0]).error_code is not OK
    gaps = ", ".join(f"{what} {longest_s * 1000:.0f} ms" for what, longest_s in longest.items())
    print(f"{COUNT} topics made in {took_s * 1000:.0f} ms; longest wait of others: {gaps}")
    if not is_kafka(broker):
        assert max(longest.values()) < GENEROUS_S
