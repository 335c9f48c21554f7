"""The partitions of a coordinator's topic: which are coordinated here, and which are on their way.

A coordinator keeps one shard for each partition that it has loaded. Of the others a client is told
NOT_COORDINATOR, of those being loaded COORDINATOR_LOAD_IN_PROGRESS, and after `close` of any
COORDINATOR_NOT_AVAILABLE. On the loop only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from kstore.errors import ErrorCode

__all__ = ["Shards"]


class Shard(Protocol):
    """What a coordinator keeps for one partition."""

    def unload(self, error: ErrorCode) -> None:
        """Refuses all who wait; the shard is of no use afterwards."""


S = TypeVar("S", bound=Shard)


class Shards(Generic[S]):
    """Shards by partition."""

    def __init__(self) -> None:
        self._loaded: dict[int, S] = {}
        self._loading: set[int] = set()
        self._closed = False

    def __iter__(self) -> Iterator[S]:
        """Those that are loaded, as of now."""
        return iter(tuple(self._loaded.values()))

    @property
    def partitions(self) -> list[int]:
        """The partitions that are loaded."""
        return sorted(self._loaded)

    @property
    def is_loading(self) -> bool:
        """Whether some partition is being loaded: what can be said of all is not all."""
        return bool(self._loading)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def begin_load(self, partition: int) -> None:
        """Says that `load` will follow, or `unload`; clients are asked to try again meanwhile."""
        self.unload(partition)
        self._loading.add(partition)

    def load(self, partition: int, shard: S, replay: Callable[[], None]) -> None:
        """Takes over a partition, once `replay` has brought its shard up to date.

        If that raises `MalformedRecordError`, which is passed on, the partition is not loaded.
        """
        self.unload(partition)
        try:
            replay()
        except ValueError:
            shard.unload(ErrorCode.NOT_COORDINATOR)
            raise
        self._loaded[partition] = shard

    def unload(self, partition: int) -> None:
        """Gives a partition away; who waits there is told NOT_COORDINATOR."""
        self._loading.discard(partition)
        shard = self._loaded.pop(partition, None)
        if shard is not None:
            shard.unload(ErrorCode.NOT_COORDINATOR)

    def close(self) -> None:
        """Gives all partitions away, for good."""
        for partition in self.partitions:
            self.unload(partition)
        self._loading.clear()
        self._closed = True

    def get(self, partition: int) -> S | None:
        return self._loaded.get(partition)

    def absent(self, partition: int) -> ErrorCode:
        """Why there is no shard of `partition`."""
        if self._closed:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if partition in self._loading:
            return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return ErrorCode.NOT_COORDINATOR
