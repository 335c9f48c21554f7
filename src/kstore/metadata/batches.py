"""Gathers what comes while a batch is under way, and sends it as the next batch.

One batch is under way at a time, in the order in which its items came. Thread: the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Batches"]

T = TypeVar("T")


class Batches(Generic[T]):
    """`send` is given each batch; whoever finished it calls `finished`, maybe from within."""

    __slots__ = ("_busy", "_pumping", "_send", "_waiting")

    def __init__(self, send: Callable[[list[T]], None]) -> None:
        self._send = send
        self._waiting: list[T] = []
        self._busy = False
        self._pumping = False

    def add(self, item: T) -> None:
        """Sends `item`, at once if nothing is under way."""
        self._waiting.append(item)
        self._pump()

    def finished(self) -> None:
        """Lets the next batch go."""
        self._busy = False
        self._pump()

    def take_waiting(self) -> list[T]:
        """Takes back all that was not sent yet."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _pump(self) -> None:
        # A loop: where batches finish at once, calls from one to the next would fill the stack.
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._waiting and not self._busy:
                self._busy = True
                self._send(self.take_waiting())
        finally:
            self._pumping = False
