"""`kstore console-consumer`: which calls it refuses, and when its loop ends."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, Message

from kstore.cli.consume_loop import ConsumeLoop, Printer
from kstore.cli.errors import CommandError
from kstore.cli.main import main


class FakeConsumer:
    """Gives the messages it was made with, then nothing; keeps which offsets were stored."""

    def __init__(self, messages: list[Message], on_quiet: Callable[[], None] | None = None) -> None:
        self._messages = messages
        self._on_quiet = on_quiet
        self.stored: list[tuple[int | None, int | None]] = []

    def poll(self, timeout: float) -> Message | None:
        if self._messages:
            return self._messages.pop(0)
        if self._on_quiet is not None:
            self._on_quiet()
        return None

    def consume(self, count: int, timeout: float) -> list[Message]:
        taken, self._messages = self._messages[:count], self._messages[count:]
        return taken

    def store_offsets(self, message: Message) -> None:
        self.stored.append((message.partition(), message.offset()))


class FakeReader:
    """A reader that has its partitions at once."""

    def __init__(self, started: bool = True) -> None:
        self.started = started
        self.idle_count = 0

    def start(self) -> None:
        pass

    def idle(self) -> None:
        self.idle_count += 1
        self.started = True


def messages(count: int) -> list[Message]:
    return [Message("t", number % 2, number, None, b"%d" % number) for number in range(count)]


def value(message: Message) -> bytes:
    return (message.value() or b"") + b"\n"


def loop_over(
    consumer: FakeConsumer,
    out: io.BytesIO | io.BufferedWriter,
    *,
    max_messages: int = -1,
    timeout_s: float | None = 0,
    in_group: bool = False,
) -> ConsumeLoop:
    printer = Printer(value, out, skip=False)
    return ConsumeLoop(
        consumer,  # type: ignore[arg-type]
        printer,
        max_messages=max_messages,
        timeout_s=timeout_s,
        in_group=in_group,
    )


@pytest.mark.parametrize(("wanted", "printed"), [(3, 3), (1, 1), (0, 0), (600, 600), (-1, 1000)])
def test_no_more_is_taken_than_wanted(wanted: int, printed: int) -> None:
    out = io.BytesIO()
    consumer = FakeConsumer(messages(1000))
    loop_over(consumer, out, max_messages=wanted).run(FakeReader())
    assert out.getvalue() == b"".join(b"%d\n" % number for number in range(printed))
    left = consumer.poll(0)
    assert (left and left.offset()) == (printed if printed < 1000 else None)


def test_the_timeout_starts_once_there_are_partitions() -> None:
    reader = FakeReader(started=False)
    loop_over(FakeConsumer([]), io.BytesIO()).run(reader)
    assert reader.idle_count == 1


def test_a_stop_ends_the_loop() -> None:
    consumer = FakeConsumer(messages(2), on_quiet=lambda: loop.stop())
    out = io.BytesIO()
    loop = loop_over(consumer, out, timeout_s=None)
    loop.run(FakeReader())
    assert out.getvalue() == b"0\n1\n"


def test_offsets_are_stored_for_a_group_once_the_records_are_written() -> None:
    consumer = FakeConsumer(messages(5))
    loop_over(consumer, io.BytesIO(), in_group=True).run(FakeReader())
    assert consumer.stored == [(0, 4), (1, 3)]
    alone = FakeConsumer(messages(5))
    loop_over(alone, io.BytesIO()).run(FakeReader())
    assert alone.stored == []


def test_an_error_that_passes_is_warned_of_once_and_another_ends_the_loop(
    capsys: pytest.CaptureFixture[str],
) -> None:
    passing = Message("t", 0, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no topic"))
    out = io.BytesIO()
    loop_over(FakeConsumer([passing, *messages(1), passing]), out).run(FakeReader())
    assert out.getvalue() == b"0\n"
    assert capsys.readouterr().err == "kstore: warning: no topic\n"
    final = Message("t", 0, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied"))
    with pytest.raises(CommandError, match="denied"):
        loop_over(FakeConsumer([final]), out).run(FakeReader())


def test_what_can_not_be_printed_ends_the_loop_or_is_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(message: Message) -> bytes:
        if message.offset() == 1:
            raise ValueError("no number")
        return value(message)

    out = io.BytesIO()
    with pytest.raises(CommandError, match="t-1 at offset 1: no number"):
        Printer(refuse, out, skip=False).write(messages(3))
    skipping = Printer(refuse, out := io.BytesIO(), skip=True)
    assert skipping.write(messages(3))
    assert out.getvalue() == b"0\n2\n"
    assert skipping.count == 3
    assert capsys.readouterr().err == "kstore: warning: skipped t-1 at offset 1: no number\n"


def test_the_loop_ends_when_nobody_reads_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kstore.cli.consume_loop.discard_stdout", lambda: None)
    reading, writing = os.pipe()
    os.close(reading)
    out = os.fdopen(writing, "wb", buffering=16)
    consumer = FakeConsumer(messages(5), on_quiet=lambda: pytest.fail("went on"))
    loop_over(consumer, out, timeout_s=None, in_group=True).run(FakeReader())
    assert consumer.stored == []
    assert capsys.readouterr().err == "Unable to write to standard out, closing consumer.\n"
    with pytest.raises(BrokenPipeError):
        out.close()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "want exactly one of --topic and --include"),
        ("--topic t --include t.*", "want exactly one of --topic and --include"),
        ("--topic t --offset 3", "--partition is required when --offset is specified"),
        ("--include t --partition 3", "--topic is required when --partition is specified"),
        ("--topic t --partition 0 --group g", "a group and --partition cannot be specified"),
        ("--topic t --partition 0 --offset 3 --from-beginning", "--from-beginning and --offset"),
        ("--topic t --partition 0 --offset first", "--offset first: want 'earliest', 'latest'"),
        ("--topic t --partition 0 --offset=-3", "--offset -3: want 'earliest', 'latest'"),
        ("--topic t --isolation-level read_all", "--isolation-level read_all: want"),
        ("--topic t --group g --consumer-property group.id=h", "--group g and group.id=h do not"),
        ("--topic t --from-beginning --consumer-property auto.offset.reset=latest", "--from-begin"),
        ("--topic t --formatter com.example.Own", "--formatter com.example.Own: there is only"),
        ("--topic t --consumer.config a --command-config b", "--command-config and --consumer"),
    ],
)
def test_calls_that_kafkas_tool_refuses_are_refused(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console-consumer", "--bootstrap-server", "127.0.0.1:1", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kstore: {error}")
    assert captured.out == ""
