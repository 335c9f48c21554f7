"""The options of `kstore serve`, as they reach the server."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.main import main


@dataclass
class FakeServer:
    """Stands where `kstore_server.main` would: keeps the options and ends with a status."""

    options: dict[str, Any] | None = None
    status: int = 0

    def serve(self, options: dict[str, Any]) -> int:
        self.options = options
        return self.status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    module = types.ModuleType("kstore_server.main")
    monkeypatch.setattr(module, "ServeOptions", lambda **options: options, raising=False)
    monkeypatch.setattr(module, "serve", fake.serve, raising=False)
    monkeypatch.setitem(sys.modules, "kstore_server.main", module)
    return fake


def test_every_option_reaches_the_server(server: FakeServer) -> None:
    words = "serve --config server.properties --data-dir data --data-dir b,c --listen 127.0.0.1:0"
    words += " --advertise kafka.example:9092 --ready-file ready"
    words += " --set num.partitions=3 --set log.retention.hours=-1"
    assert main(words.split()) == 0
    assert server.options == {
        "config_file": Path("server.properties"),
        "data_dirs": ("data", "b,c"),
        "listen": "127.0.0.1:0",
        "advertise": "kafka.example:9092",
        "settings": {"num.partitions": "3", "log.retention.hours": "-1"},
        "ready_file": Path("ready"),
    }


def test_a_value_may_hold_an_equals_sign(server: FakeServer) -> None:
    assert main(["serve", "--set", "sasl.jaas.config=a=b c=d"]) == 0
    assert server.options is not None
    assert server.options["settings"] == {"sasl.jaas.config": "a=b c=d"}


def test_without_options_everything_is_left_to_the_server(server: FakeServer) -> None:
    server.status = 1
    assert main(["serve"]) == 1
    assert server.options == {
        "config_file": None,
        "data_dirs": (),
        "listen": None,
        "advertise": None,
        "settings": {},
        "ready_file": None,
    }


@pytest.mark.parametrize("pair", ["nonsense", "=1", " =1"])
def test_a_setting_without_a_name_is_a_wrong_call(
    pair: str, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--set", pair]) == 2
    assert capsys.readouterr().err == f"kstore: --set {pair}: want NAME=VALUE\n"
    assert server.options is None


def test_options_of_serve_are_not_abbreviated(server: FakeServer) -> None:
    assert main(["serve", "--data", "data"]) == 2
    assert server.options is None
