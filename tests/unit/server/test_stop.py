"""The order in which a server ends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from kstore.configs import load
from kstore.log.store import Store
from kstore.metadata.topics import NewTopic
from kstore_server.server import Server

SETTINGS = {"listeners": "PLAINTEXT://127.0.0.1:0"}


def test_the_store_is_closed_after_all_work_on_it(tmp_path: Path) -> None:
    """A topic is being made while the server stops: it is made, and then all is closed."""
    order = []
    begun, release = threading.Event(), threading.Event()

    async def run() -> None:
        server = Server(load({**SETTINGS, "log.dirs": str(tmp_path)}))
        await server.start()
        store: Any = server.broker.log_dirs
        prepare, close = store.prepare, store.close

        def slow_prepare(*arguments: Any) -> Any:
            begun.set()
            assert release.wait(20)
            order.append("made")
            return prepare(*arguments)

        def told_close() -> None:
            order.append("closed")
            close()

        store.prepare, store.close = slow_prepare, told_close
        server.broker.make_topics([NewTopic("t", 3)])
        assert await asyncio.to_thread(begun.wait, 20)
        asyncio.get_running_loop().call_later(0.1, release.set)
        await server.stop()

    asyncio.run(run())
    assert order == ["made"] * 3 + ["closed"]
    with Store.open(tmp_path) as store:
        assert store.clean_start
        assert store.list() == [("t", 0), ("t", 1), ("t", 2)]
