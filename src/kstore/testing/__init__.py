"""A real Kafka inside your tests, in milliseconds.

    from kstore.testing import BrokerThread

    with BrokerThread() as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

With pytest the fixture `kstore` does the same (see `plugin`). Both are imported lazily: a test run
that uses neither pays for neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kstore.testing.broker import BrokerThread
    from kstore.testing.manual import ManualRuntime

__all__ = ["BrokerThread", "ManualRuntime"]


def __getattr__(name: str) -> Any:
    if name == "BrokerThread":
        from kstore.testing.broker import BrokerThread

        return BrokerThread
    if name == "ManualRuntime":
        from kstore.testing.manual import ManualRuntime

        return ManualRuntime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
