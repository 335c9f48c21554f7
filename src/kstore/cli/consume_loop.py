"""Reading and printing: the loop of `kstore console-consumer`, until one of its ends.

On the main thread, which alone sees signals; a wait is short, so that an interrupt is seen soon.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import BinaryIO

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from kstore.cli.clients import explain
from kstore.cli.consumption import Reader
from kstore.cli.errors import CommandError, warn
from kstore.cli.output import discard_stdout

__all__ = ["ConsumeLoop", "Printer", "stopping_on_signals", "warn_once"]

# How long one wait for a record lasts, and so how late an interrupt can be seen.
_POLL_S = 0.2

# How many records are taken together once the first has come.
_BATCH_COUNT = 500

# How long a group may take to give us partitions before --timeout-ms counts anyway.
_JOIN_S = 30.0


def warn_once() -> Callable[[str], None]:
    """Gives a function that warns of a text the first time that it is given it."""
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return say


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` while the block runs."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ConsumeLoop:
    """Polls until told to stop, or until enough was read or nothing came for too long."""

    def __init__(
        self,
        consumer: Consumer,
        printer: Printer,
        *,
        max_messages: int,
        timeout_s: float | None,
        in_group: bool,
    ) -> None:
        self._in_group = in_group
        self._consumer = consumer
        self._printer = printer
        self._max_messages = max_messages
        self._timeout_s = timeout_s
        self._stopped = False
        self._warn = warn_once()

    def stop(self) -> None:
        self._stopped = True

    def run(self, reader: Reader) -> None:
        """Reads and prints. Raises `CommandError` for what reading on can't mend."""
        reader.start()
        joined_by = time.monotonic() + _JOIN_S
        quiet_since = time.monotonic()
        while not self._stopped and self._wanted() > 0:
            message = self._consumer.poll(self._patience(quiet_since))
            now = time.monotonic()
            if message is None:
                reader.idle()
                if not reader.started and now < joined_by:
                    quiet_since = now
                if self._timeout_s is not None and now - quiet_since >= self._timeout_s:
                    return
                continue
            rest = self._consumer.consume(min(self._wanted(), _BATCH_COUNT) - 1, 0)
            if not self._print_all([message, *rest]):
                return
            quiet_since = time.monotonic()

    def _wanted(self) -> int:
        if self._max_messages < 0:
            return _BATCH_COUNT
        return self._max_messages - self._printer.count

    def _patience(self, quiet_since: float) -> float:
        if self._timeout_s is None:
            return _POLL_S
        left = quiet_since + self._timeout_s - time.monotonic()
        return min(max(left, 0), _POLL_S)

    def _print_all(self, messages: list[Message]) -> bool:
        """Prints records; false if nobody reads them any more."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self._complain(error)
        if self._printer.write(records):
            self._store(records)
            return True
        print("Unable to write to standard out, closing consumer.", file=sys.stderr)
        return False

    def _store(self, records: list[Message]) -> None:
        """Marks records for the group's next commit, now that they are written."""
        if not self._in_group:
            return
        for last in {(one.topic(), one.partition()): one for one in records}.values():
            try:
                self._consumer.store_offsets(message=last)
            except KafkaException as error:
                # The partition was taken from us since; its next owner reads the records again.
                if error.args[0].code() != KafkaError._STATE:
                    raise

    def _complain(self, error: KafkaError) -> None:
        if error.retriable() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._warn(explain(error))
        else:
            raise CommandError(explain(error))


class Printer:
    """Writes records to stdout and counts them."""

    def __init__(self, line: Callable[[Message], bytes], out: BinaryIO, *, skip: bool) -> None:
        self.count = 0
        self._line = line
        self._out = out
        self._skip = skip

    def write(self, messages: list[Message]) -> bool:
        """Writes and flushes; false if the reader of stdout has gone.

        Raises `CommandError` for a record that can't be printed, unless those are skipped.
        """
        try:
            for message in messages:
                self.count += 1
                self._out.write(self._text(message))
            self._out.flush()
        except BrokenPipeError:
            discard_stdout()
            return False
        return True

    def _text(self, message: Message) -> bytes:
        try:
            return self._line(message)
        except ValueError as error:
            where = f"{message.topic()}-{message.partition()} at offset {message.offset()}"
            if not self._skip:
                raise CommandError(f"{where}: {error}") from None
            warn(f"skipped {where}: {error}")
            return b""
