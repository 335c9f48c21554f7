"""`kstore serve`: the options of the broker's process, handed to `kstore_server`.

Argparse and not typer: the broker's process must not carry what only the other commands need.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kstore.cli.errors import CallError

__all__ = ["run_serve"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CallError(message)


def parser() -> argparse.ArgumentParser:
    """The options of `kstore serve`."""
    options = _Parser(
        prog="kstore serve",
        allow_abbrev=False,
        description="Run a broker until SIGTERM or SIGINT. Logs go to stderr; one line on stdout "
        "says when clients are accepted.",
    )
    options.add_argument(
        "--config", metavar="FILE", type=Path, help="a Kafka server.properties to read first"
    )
    options.add_argument(
        "--data-dir",
        metavar="DIR[,DIR...]",
        action="append",
        default=[],
        dest="data_dirs",
        help="where the logs lie (log.dirs), each on a disk of its own; may be repeated",
    )
    options.add_argument(
        "--listen", metavar="HOST:PORT", help="where to accept clients; port 0 takes a free one"
    )
    options.add_argument(
        "--advertise", metavar="HOST:PORT", help="the address that clients are told"
    )
    options.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="a config, by Kafka's name; stands above the file; may be repeated",
    )
    options.add_argument(
        "--ready-file", metavar="FILE", type=Path, help="write HOST:PORT here once ready"
    )
    return options


def run_serve(words: Sequence[str]) -> int:
    """Runs the broker; gives its status. Raises `CallError`."""
    try:
        options = parser().parse_args(words)
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0

    from kstore_server.main import ServeOptions, serve

    return serve(
        ServeOptions(
            config_file=options.config,
            data_dirs=tuple(options.data_dirs),
            listen=options.listen,
            advertise=options.advertise,
            settings=_settings(options.settings),
            ready_file=options.ready_file,
        )
    )


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise CallError(f"--set {pair}: want NAME=VALUE")
        settings[name.strip()] = value.strip()
    return settings
