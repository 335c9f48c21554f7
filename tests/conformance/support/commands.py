"""`kstore` commands run against one broker, as their users run them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer

from tests.conformance.support.broker import kstore_command, run_kstore

DEADLINE_S = 30

Rows = list[dict[str, object]]


class Command:
    """`kstore` commands against one broker."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def run(self, name: str, *options: str, stdin: str = "") -> str:
        """What a command printed that must succeed."""
        return run_kstore(name, "--bootstrap-server", self.bootstrap_servers, *options, stdin=stdin)

    def rows(self, name: str, *options: str) -> Rows:
        rows: Rows = json.loads(self.run(name, *options, "--json"))
        return rows

    def fail(self, name: str, *options: str, stdin: str = "") -> str:
        """The stderr of a command that must fail with status 1 and print nothing."""
        done = self.end(name, *options, stdin=stdin)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    def end(self, name: str, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """How a command ended."""
        return subprocess.run(
            [*kstore_command(), name, "--bootstrap-server", self.bootstrap_servers, *options],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def started(self, name: str, *options: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs meanwhile, with its three pipes."""
        process = subprocess.Popen(
            [*kstore_command(), name, "--bootstrap-server", self.bootstrap_servers, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


@contextmanager
def group_of(bootstrap_servers: str, group: str, topic: str, count: int) -> Iterator[None]:
    """Consumers of one group, `c0` and so on, once each knows its share of the topic."""
    assigned: set[int] = set()
    members = [
        Consumer(
            {"bootstrap.servers": bootstrap_servers, "group.id": group, "client.id": f"c{number}"}
        )
        for number in range(count)
    ]
    try:
        for number, member in enumerate(members):
            member.subscribe([topic], on_assign=lambda *_, number=number: assigned.add(number))
        deadline = time.monotonic() + DEADLINE_S
        while len(assigned) < count:
            assert time.monotonic() < deadline, f"only {assigned} of {count} were assigned"
            for member in members:
                member.poll(0.01)
        yield
    finally:
        for member in members:
            member.close()
