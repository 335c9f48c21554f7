"""Three clients write and read with every codec; what they read is what was written, in order."""

from __future__ import annotations

import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import CLIENTS, CODECS, Client, create_topic, end_offsets
from tests.conformance.support.workload import by_partition, make_records

RECORD_COUNT = 100_000
PARTITION_COUNT = 6


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_reads_what_it_wrote_with_every_codec(
    broker: BrokerProcess, client: Client, seed: int
) -> None:
    topic = f"round-trip-{client.name}"
    create_topic(broker.bootstrap_servers, topic, PARTITION_COUNT)
    records = make_records(seed, RECORD_COUNT, PARTITION_COUNT)
    share = RECORD_COUNT // len(CODECS)
    for number, codec in enumerate(CODECS):
        part = records[number * share : (number + 1) * share]
        client.write(broker.bootstrap_servers, topic, part, codec)
    expected = by_partition(records)
    counts = {partition: len(sent) for partition, sent in expected.items()}
    found = client.read(broker.bootstrap_servers, topic, counts)
    for partition, sent in expected.items():
        assert found[partition] == sent
    assert end_offsets(broker.bootstrap_servers, topic, PARTITION_COUNT) == counts


@pytest.mark.parametrize("codec", CODECS)
def test_every_client_reads_what_the_others_wrote(
    broker: BrokerProcess, codec: str, seed: int
) -> None:
    topic = f"shared-{codec}"
    create_topic(broker.bootstrap_servers, topic, 1)
    records = make_records(seed, 3 * 500, 1)
    for number, client in enumerate(CLIENTS):
        client.write(
            broker.bootstrap_servers, topic, records[number * 500 : (number + 1) * 500], codec
        )
    for client in CLIENTS:
        assert client.read(broker.bootstrap_servers, topic, {0: len(records)}) == {0: records}
