"""`kstore configs`: which calls it refuses, and the words it takes."""

from __future__ import annotations

import pytest

from kstore.cli.config_words import parse_added, parse_deleted
from kstore.cli.errors import CallError
from kstore.cli.main import main


def test_configs_to_set() -> None:
    assert parse_added("a.b=1,c = [x,y] ,d=") == {"a.b": "1", "c": "x,y", "d": ""}
    assert parse_added("f=[k=v,w=x]") == {"f": "k=v,w=x"}
    for text in ("", "a", "a=1,", "a=1=2", "a b=1", "=1"):
        with pytest.raises(CallError):
            parse_added(text)


def test_configs_to_reset() -> None:
    assert parse_deleted(["a,b", "c"]) == ["a", "b", "c"]
    with pytest.raises(CallError):
        parse_deleted(["a,,b"])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "want exactly one of --describe and --alter"),
        ("--describe", "want exactly one of --entity-type, --topic, --broker"),
        ("--describe --topic t --broker 1", "want exactly one of --entity-type, --topic"),
        ("--describe --topic t --entity-type topics", "want exactly one of --entity-type"),
        ("--describe --entity-name t", "no entity type '' here; there are: topics, brokers"),
        ("--describe --broker-logger x", "the entity name for broker-loggers must be a broker's"),
        ("--describe --entity-type broker-loggers", "--describe of broker-loggers needs a broker"),
        ("--describe --group g --client-metrics m", "want exactly one of --entity-type"),
        ("--describe --entity-type groups --entity-default", "--entity-default is for"),
        ("--alter --entity-type groups --add-config a=1", "--alter of groups needs an entity"),
        ("--alter --group= --add-config a=1", "--alter of groups needs an entity"),
        ("--describe --entity-type users", "no entity type 'users' here"),
        ("--describe --broker one", "the entity name for brokers must be a broker's id"),
        ("--describe --entity-type topics --entity-default", "--entity-default is for"),
        ("--describe --topic t --add-config a=1", "--describe can't be used with what --alter"),
        ("--alter --topic t", "--alter needs --add-config, --add-config-file or --delete-config"),
        ("--alter --topic t --all --add-config a=1", "--all can't be used with --alter"),
        ("--alter --entity-type topics --add-config a=1", "--alter of topics needs an entity"),
        (
            "--alter --topic t --add-config a=1 --add-config-file f",
            "want only one of --add-config and --add-config-file",
        ),
    ],
)
def test_calls_that_kafkas_tool_refuses_are_refused(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["configs", "--bootstrap-server", "127.0.0.1:1", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kstore: {error}")
    assert captured.out == ""
