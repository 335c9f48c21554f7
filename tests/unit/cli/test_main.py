"""What `kstore` does before a command does anything: dispatch, help, errors, imports."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from kstore.cli.app import COMMANDS, complete_bare_options
from kstore.cli.errors import CallError, CommandError, report
from kstore.cli.main import main


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_serve_loads_nothing_that_only_the_other_commands_need() -> None:
    done = python(
        """
        import sys, types
        server = types.ModuleType("kstore_server.main")
        server.ServeOptions = lambda **options: options
        server.serve = lambda options: 0
        sys.modules["kstore_server.main"] = server
        from kstore.cli.main import main
        assert main(["serve", "--listen", "127.0.0.1:0"]) == 0
        heavy = {"typer", "rich", "click", "confluent_kafka", "numpy", "pydantic"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
        """
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_version_is_printed_without_loading_the_commands() -> None:
    done = python(
        """
        import sys
        from kstore.cli.main import main
        assert main(["--version"]) == main(["version"]) == 0
        assert "typer" not in sys.modules
        """
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second
    assert first.startswith("kstore ")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    help_text = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in help_text


@pytest.mark.parametrize(
    "name", [command.name for command in COMMANDS if command.name != "version"]
)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"kstore {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["nonsense"], "kstore: no command 'nonsense'; there are: "),
        (["topics", "--list"], "kstore: Missing option '--bootstrap-server'"),
        (["topics", "--nonsense"], "kstore: No such option: --nonsense"),
        (["topics", "--partitions", "many"], "kstore: Invalid value for '--partitions'"),
        (["serve", "--listen"], "kstore: argument --listen: expected one argument"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(error)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_no_command_shows_them_all_and_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "console-producer" in capsys.readouterr().out


def test_an_error_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    report(CommandError("first\n  second\n"))
    assert capsys.readouterr().err == "kstore: first; second\n"
    assert CallError("wrong").status == 2


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["--state"], ["--state="]),
        (["--state", "--json"], ["--state=", "--json"]),
        (["--state", "stable", "--json"], ["--state", "stable", "--json"]),
        (["--state=empty"], ["--state=empty"]),
        (["--group", "g"], ["--group", "g"]),
    ],
)
def test_an_option_may_stand_without_its_value(words: list[str], completed: list[str]) -> None:
    assert complete_bare_options(words, {"--state": ""}) == completed
