"""What the comparison knows of a broker, and the broker that it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.judges.kafka import free_ports
from tests.conformance.support.broker import BrokerProcess


class Broker(BrokerProcess):
    """A broker to be measured: its port is known before it starts, its process id while it runs."""

    def __init__(
        self, directory: Path, settings: Mapping[str, object], environment: Mapping[str, str]
    ) -> None:
        super().__init__(directory, dict(settings))
        self.environment = environment

    def prepare(self) -> None:
        """Chooses the port and writes what must be there before the process starts."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._prepare()

    @property
    def pid(self) -> int:
        assert self.process is not None, "the broker does not run"
        return self.process.pid

    def _prepare(self) -> None:
        super()._prepare()
        self.port = self.port or free_ports(1)[0]

    def _command(self) -> list[str]:
        # `env` becomes the program: the process id is the broker's.
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *variables, *self._program()]

    def _program(self) -> list[str]:
        """The broker's command line."""
        return super()._command()


@dataclass(frozen=True)
class Kind:
    """A broker by name. `why_unavailable` says why it cannot run here, or None."""

    name: str
    version: str
    why_unavailable: Callable[[], str | None]
    # (directory, settings by Kafka's names, environment) -> a broker that is not started yet
    make: Callable[[Path, Mapping[str, object], Mapping[str, str]], Broker]
    # For all cases. Topics come and go with each round: their files must go at once, or the disk
    # fills up (the delay of a deleted topic is the broker's, `file.delete.delay.ms` is not asked).
    settings: Mapping[str, object] = field(default_factory=dict)
    jvm: bool = False
