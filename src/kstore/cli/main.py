"""Where the command `kstore` starts.

Only the words of the call decide what is imported: `kstore serve` must load neither typer, rich,
confluent-kafka nor numpy (a test looks at sys.modules), and `kstore version` must not wait for
them. So this module imports nothing of the kind, and each command lies behind a function.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kstore.cli.errors import CommandError, report
from kstore.errors import KafkaError, StoreError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; `arguments` are the words after `kstore`. Gives the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except CommandError as error:
        report(error)
        return error.status
    except BrokenPipeError:
        from kstore.cli.output import discard_stdout

        # The reader of our output has gone (`kstore ... | head`): nobody is left to tell.
        discard_stdout()
        return 1
    except (KafkaError, StoreError, OSError) as error:
        report(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(words: list[str]) -> int:
    match words:
        case ["serve", *options]:
            from kstore.cli.serve import run_serve

            return run_serve(options)
        case ["bench", *words_of_bench]:
            from kstore.cli.bench.app import run_bench

            return run_bench(words_of_bench)
        case ["profile", *words_of_profile]:
            from kstore.cli.profile import run_profile

            return run_profile(words_of_profile)
        case ["transactions", *words_of_transactions]:
            from kstore.cli.transactions import run_transactions

            return run_transactions(words_of_transactions)
        case ["version"] | ["--version"]:
            from kstore.cli.version import version

            print(f"kstore {version()}")
            return 0
        case _:
            from kstore.cli.app import run_app

            return run_app(words)
