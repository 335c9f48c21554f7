"""`kstore console-producer`: its settings, and what it does when no broker answers."""

from __future__ import annotations

import pytest

from kstore.cli import clients
from kstore.cli.console_producer import producer_settings
from kstore.cli.errors import CallError
from kstore.cli.main import main


def test_an_option_stands_above_a_property_and_that_above_the_default() -> None:
    settings = producer_settings({"linger.ms": "7", "acks": "1"}, {"acks": "0", "retries": None})
    assert settings["acks"] == "0"
    assert settings["linger.ms"] == "7"
    assert settings["retries"] == "3"
    assert settings["partitioner"] == "murmur2_random"


@pytest.mark.parametrize(
    ("properties", "idempotent"),
    [
        ({}, "true"),
        ({"acks": "all"}, "true"),
        ({"acks": "1"}, "false"),
        ({"retries": "0"}, "false"),
        ({"enable.idempotence": "false"}, "false"),
    ],
)
def test_the_producer_is_idempotent_where_its_settings_allow_it(
    properties: dict[str, str], idempotent: str
) -> None:
    assert producer_settings(properties, {})["enable.idempotence"] == idempotent


def test_a_delivery_timeout_that_is_no_number_is_a_wrong_call() -> None:
    with pytest.raises(CallError, match=r"delivery.timeout.ms=soon"):
        producer_settings({"delivery.timeout.ms": "soon"}, {})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--compression-codec rar", "--compression-codec rar: want none, gzip"),
        ("--line-reader com.example.Reader", "--line-reader com.example.Reader: there is only"),
        ("--property headers.separator=:", "headers.separator and headers.key.separator may not"),
        ("--request-required-acks 7", "acks=7: want all, -1, 0 or 1"),
        ("--producer-property nonsense=1 --batch-size 0", 'Configuration property "batch.size"'),
    ],
)
def test_a_wrong_call_is_told_before_a_broker_is_asked(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["console-producer", "--bootstrap-server", "127.0.0.1:1", "--topic", "t"]
    assert main([*call, *words.split()]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert error in errors[-1]
    assert all(line.startswith("kstore: ") for line in errors)


@pytest.mark.parametrize(
    "call",
    [
        ["console-producer", "--topic", "t"],
        ["console-consumer", "--topic", "t"],
        ["console-consumer", "--topic", "t", "--group", "g"],
        ["console-consumer", "--topic", "t", "--partition", "0"],
        ["topics", "--list"],
        ["topics", "--create", "--topic", "t"],
        ["consumer-groups", "--list"],
        ["consumer-groups", "--describe", "--group", "g"],
    ],
    ids=" ".join,
)
def test_without_a_broker_every_command_ends_with_one_line(
    call: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clients, "_CONNECT_GRACE_S", 0.0)
    assert main([*call, "--bootstrap-server", "127.0.0.1:1"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "Processed" not in line]
    assert errors == ["kstore: no broker answers at 127.0.0.1:1: Connection refused"]
