"""`kstore serve` with one of its checks switched off: a canary for those who judge brokers.

Run as `python -m tests.faults.broken_broker CHECK serve …`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kstore.broker.partition import Partition
from kstore.cli.main import main
from kstore.log.producers.states import ProducerStates
from tests.conformance.support.broker import BrokerProcess, kstore_command

__all__ = ["BrokenBroker"]


def _without_sequences() -> None:
    """A batch that is sent again is taken for a new one."""
    _replace(ProducerStates, "check", None)


def _without_aborted_lists() -> None:
    """Readers at read_committed are not told which transactions were aborted."""
    _replace(Partition, "aborted_transactions", [])


def _replace(owner: type, name: str, answer: object) -> None:
    """That method gives always the same answer."""
    assert callable(getattr(owner, name))
    setattr(owner, name, lambda *_, **__: answer)


CHECKS = {"sequences": _without_sequences, "aborted lists": _without_aborted_lists}


class BrokenBroker(BrokerProcess):
    """A broker that leaves out one check."""

    def __init__(self, directory: Path, check: str) -> None:
        super().__init__(directory)
        self._check = check

    def _command(self) -> list[str]:
        words = super()._command()[len(kstore_command()) :]
        return [sys.executable, "-m", "tests.faults.broken_broker", self._check, *words]


if __name__ == "__main__":
    CHECKS[sys.argv.pop(1)]()
    sys.exit(main())
