"""`kstore aliases`: what a shell makes of them."""

from __future__ import annotations

import subprocess

import pytest

from kstore.cli.aliases import TOOLS
from kstore.cli.app import COMMANDS
from kstore.cli.main import main


def test_a_shell_runs_ours_for_kafkas_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aliases", "--command", "echo kstore"]) == 0
    script = capsys.readouterr().out + "kafka-topics.sh --list\nkafka-get-offsets --topic t\n"
    done = subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines() == ["kstore topics --list", "kstore get-offsets --topic t"]
    assert done.stderr == ""


def test_every_alias_is_a_command() -> None:
    assert set(TOOLS) <= {command.name for command in COMMANDS}


def test_a_command_with_quotes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aliases", "--command", "it's"]) == 2
    assert capsys.readouterr().err.startswith("kstore: --command it's: ")
