"""Work that concerns every partition, done on the loop in turns of a millisecond.

With thousands of partitions nothing may go through all of them at once: requests would wait.
Between two turns the loop does everything else. Thread: the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kstore.runtime import Later, Runtime

__all__ = ["TURN_MS", "in_turns"]

TURN_MS = 1
"""How long a turn may take, but for the last step in it."""


def _nothing() -> None:
    pass


def in_turns(
    runtime: Runtime, steps: Iterator[None], *, after_turn: Callable[[], None] = _nothing
) -> Later[None]:
    """Goes through `steps`, the first of them at once; done when there are no more.

    Fails with what a step raises, which ends it. `after_turn` is called at the end of each turn.
    """
    done: Later[None] = Later()

    def turn() -> None:
        end_ms = runtime.monotonic_ms() + TURN_MS
        try:
            for _ in steps:
                if runtime.monotonic_ms() >= end_ms:
                    after_turn()
                    runtime.call_soon(turn)
                    return
            after_turn()
        except Exception as error:
            done.fail(error)
        else:
            done.complete(None)

    turn()
    return done
