"""How long a client has to wait while others keep the broker busy."""

from __future__ import annotations

import threading
import time

from kstore.wire.versions import ApiKey
from tests.conformance.support.pipeline import PipelinedClient

__all__ = ["Prober"]


class Prober:
    """Asks something cheap again and again on its own connection, in its own thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.longest_s = 0.0
        self.count = 0
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._client = PipelinedClient(bootstrap_servers)
        self._thread = threading.Thread(target=self._run, name="prober")

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()
        assert self._error is None, self._error
        assert self.count > 0

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                start = time.monotonic()
                self._client.ask(ApiKey.API_VERSIONS, 0, {})
                self.longest_s = max(self.longest_s, time.monotonic() - start)
                self.count += 1
        except BaseException as error:
            self._error = error
