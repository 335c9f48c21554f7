"""Every advertised (API, version), asked over a socket, with kio as encoder and decoder.

Flexible versions are asked once more with a tagged field that no release knows, in the header and
in the body. Produce 0 to 2 are advertised but refused, as Kafka does (KAFKA-18659).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kstore.wire.versions import ADVERTISED, ApiKey, flexible_from
from tests.conformance.support import (
    api_scenarios,
    deletion_scenarios,
    marker_scenarios,
    transaction_scenarios,
)
from tests.conformance.support.api_scenarios import Question, World
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.raw_client import RawClient

SCENARIOS = {
    **api_scenarios.SCENARIOS,
    **deletion_scenarios.SCENARIOS,
    **transaction_scenarios.SCENARIOS,
    **marker_scenarios.SCENARIOS,
}
PAIRS = [
    (api_key, version)
    for api_key, versions in ADVERTISED.items()
    for version in range(versions.min, versions.max + 1)
]
REFUSED = [(ApiKey.PRODUCE, version) for version in range(3)]
CASES = [
    (api_key, version, unknown_tag)
    for api_key, version in PAIRS
    for unknown_tag in (False, True)
    if (api_key, version) not in REFUSED and (version >= flexible_from(api_key) or not unknown_tag)
]


@pytest.fixture(scope="module")
def world(broker: BrokerProcess) -> Iterator[World]:
    with RawClient(broker.bootstrap_servers) as client:
        yield World(client, broker.bootstrap_servers)


@pytest.mark.parametrize(
    ("api_key", "version", "unknown_tag"),
    CASES,
    ids=[f"{key.name}-{version}{'-unknown-tag' * tag}" for key, version, tag in CASES],
)
def test_a_version_is_answered(
    broker: BrokerProcess, world: World, api_key: ApiKey, version: int, unknown_tag: bool
) -> None:
    with RawClient(broker.bootstrap_servers) as client:
        SCENARIOS[api_key](Question(client, api_key, version, unknown_tag), world)


@pytest.mark.parametrize(("api_key", "version"), REFUSED, ids=lambda value: str(value))
def test_an_advertised_version_is_refused_like_kafka(
    broker: BrokerProcess, api_key: ApiKey, version: int
) -> None:
    with RawClient(broker.bootstrap_servers) as client:
        assert client.is_refused(api_key, version)


def test_the_pairs_asked_are_those_that_the_broker_advertises(broker: BrokerProcess) -> None:
    """Counts them: what the socket says, what the table says, and what the cases above asked."""
    with RawClient(broker.bootstrap_servers) as client:
        who = {"client_software_name": "judge", "client_software_version": "1.0"}
        reply = client.ask(ApiKey.API_VERSIONS, 4, who)
    told = {
        (one.api_key, version)
        for one in reply.api_keys
        for version in range(one.min_version, one.max_version + 1)
    }
    asked = {(api_key, version) for api_key, version, _ in CASES} | set(REFUSED)
    print(f"{len(asked)} (API, version) pairs in {len(CASES) + len(REFUSED)} cases")
    assert asked == set(PAIRS)
    if type(broker) is BrokerProcess:
        assert told == asked
    else:
        assert told >= asked
