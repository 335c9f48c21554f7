"""confluent-kafka clients as the commands want them: quiet, bounded in time, failing in one line.

librdkafka writes its log to stderr and tries for ever to reach a broker. Here its log goes nowhere,
what it reports of its connections is kept in a `Watch`, and each wait looks there: when no broker
can be reached, or one refuses us, the command ends with a line that says why.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from kstore.cli.errors import CallError, CommandError, warn
from kstore.cli.properties import DEFAULT_TIMEOUT_S, client_settings, timeout_of

__all__ = ["Cluster", "Watch", "explain", "metadata", "new_client"]

T = TypeVar("T")
ClientT = TypeVar("ClientT")

# A broker that has just been started gets this long before "connection refused" is taken as final.
_CONNECT_GRACE_S = 2.0

# How long one wait lasts before the watch is looked at.
_LOOK_S = 0.2

_REFUSALS = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._FATAL}

_log = logging.getLogger("kstore.cli.librdkafka")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Client(Protocol):
    """What an admin client, a producer and a consumer have in common."""

    def poll(self, timeout: float = -1) -> Any: ...

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any: ...


class Watch:
    """What a client reported of its connections; each wait for an answer looks here."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._started = time.monotonic()
        self._reason = ""
        self._unreachable = False
        self._refusal = ""

    def __call__(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._unreachable = True
        elif error.code() in _REFUSALS:
            self._refusal = explain(error)
        else:
            self._reason = _reason(error)

    def check(self) -> None:
        """Raises `CommandError` if waiting longer makes no sense."""
        if self._refusal:
            raise CommandError(self._refusal)
        if self._unreachable and time.monotonic() - self._started > _CONNECT_GRACE_S:
            raise self.unreachable()

    def unreachable(self) -> CommandError:
        """The error that says that no broker was reached."""
        why = f": {self._reason}" if self._reason else ""
        return CommandError(f"no broker answers at {self._servers}{why}")


def _reason(error: KafkaError) -> str:
    """The part of librdkafka's connection error that a person wants: `Connection refused`."""
    text = error.str()
    match = re.search(r"(?:failed|Failed to resolve '[^']*'): (.*?)(?: \(after .*)?$", text)
    return match[1] if match else text


def explain(error: KafkaError) -> str:
    """An error of confluent-kafka as text for a person."""
    return re.sub(r"^(?:Broker|Local): ", "", error.str()) or error.name()


def new_client(
    kind: Callable[..., ClientT], servers: str, settings: Mapping[str, Any], watch: Watch
) -> ClientT:
    """Makes a client; settings that confluent-kafka does not know are dropped with a warning."""
    wanted = {
        **client_settings(settings),
        "bootstrap.servers": servers,
        "error_cb": watch,
    }
    while True:
        try:
            return kind(wanted, logger=_log)
        except KafkaException as error:
            text = explain(error.args[0])
            match = re.fullmatch(r'No such configuration property: "(.*)"', text)
            if not match or match[1] not in wanted:
                raise CallError(text) from None
            warn(f"{match[1]} is no setting of this client and has no effect")
            del wanted[match[1]]


def metadata(
    client: Client, watch: Watch, *, topic: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
) -> ClusterMetadata:
    """The cluster's metadata, of all topics or of one; waits until a broker answers.

    Asking for one topic may create it, where broker and client allow that.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found: ClusterMetadata = client.list_topics(topic, timeout=_LOOK_S)
            return found
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
                raise CommandError(explain(error.args[0])) from None
        client.poll(0)
        watch.check()
        if time.monotonic() > deadline:
            raise watch.unreachable()


class Cluster:
    """An admin client whose calls wait for their answers and fail with `CommandError`."""

    def __init__(
        self, servers: str, settings: Mapping[str, str], *, timeout_s: float | None = None
    ) -> None:
        self.servers = servers
        self.settings = settings
        self.timeout_s = timeout_of(settings) if timeout_s is None else timeout_s
        self._watch = Watch(servers)
        # The producer's and consumer's settings may stand in the same file; librdkafka warns of
        # them in its log only.
        self.admin = new_client(AdminClient, servers, settings, self._watch)

    def metadata(self) -> ClusterMetadata:
        """The metadata of all topics."""
        return metadata(self.admin, self._watch, timeout_s=self.timeout_s)

    def wait(self, future: Future[T]) -> T:
        """The result of an admin call. Raises `CommandError`."""
        try:
            return self.outcome(future)
        except KafkaException as error:
            raise CommandError(explain(error.args[0])) from None

    def outcome(self, future: Future[T]) -> T:
        """The result of an admin call. Raises what the call failed with, a `KafkaException`."""
        deadline = time.monotonic() + self.timeout_s + _CONNECT_GRACE_S
        while True:
            try:
                return future.result(timeout=_LOOK_S)
            except FutureTimeoutError:
                self.admin.poll(0)
                self._watch.check()
            if time.monotonic() > deadline:
                raise CommandError(f"no answer from {self.servers} in {self.timeout_s:g} s")
