"""Connections to the broker that the tests of a module share (`broker` in tests/conftest.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[PipelinedClient]:
    with PipelinedClient(broker.bootstrap_servers) as connected:
        yield connected


@pytest.fixture
def other(broker: BrokerProcess) -> Iterator[PipelinedClient]:
    """A second connection, beside `client`."""
    with PipelinedClient(broker.bootstrap_servers) as connected:
        yield connected
