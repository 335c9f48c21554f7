"""The pytest plugin: a fixture `kstore` with a running broker.

    def test_it(kstore):
        client = Producer({"bootstrap.servers": kstore.bootstrap_servers})

One broker for each test that asks for it, with a directory of its own. Registered by an entry
point, so this module is imported by every pytest run of an environment that has kstore: it imports
nothing but pytest until the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kstore.testing.broker import BrokerThread

__all__ = ["kstore"]


@pytest.fixture
def kstore() -> Iterator[BrokerThread]:
    """A running broker: `bootstrap_servers`, `data_dir`, `restart()`."""
    from kstore.testing.broker import BrokerThread

    with BrokerThread() as broker:
        yield broker
