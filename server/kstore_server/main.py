"""`kstore serve`: one broker in this process, until SIGTERM or SIGINT.

Prints one line when it accepts clients and nothing else to stdout; logs go to stderr. What a user
got wrong is one line and status 1, told before anything is opened where that can be known.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kstore.configs import ConfigError, Settings, load, parse_properties
from kstore.errors import KafkaError, StoreError
from kstore_server import descriptors
from kstore_server.server import Server

__all__ = ["ServeOptions", "new_runner", "serve"]

SWITCH_INTERVAL_S = 0.0005
"""How long a worker that holds the GIL may keep the loop waiting."""

GC_THRESHOLDS = (20_000, 20, 20)
"""A request for 200,000 partitions makes as many objects, and none of them in cycles: with Python's
own thresholds the collector takes two thirds of its time."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What was given on the command line. Later ones win: file, settings, the options."""

    config_file: Path | None = None
    data_dirs: Sequence[str] = ()
    listen: str | None = None
    advertise: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    ready_file: Path | None = None


def serve(options: ServeOptions) -> int:
    """Runs a broker until it is told to stop; the exit status."""
    _log_to_stderr()
    try:
        settings = _settings(options)
        descriptors.raise_limit()
        with new_runner() as runner:
            runner.run(_run(settings, options.ready_file))
    except (ConfigError, StoreError, KafkaError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))
    return 0


def _refuse(reason: str) -> int:
    print(f"kstore: {reason}", file=sys.stderr)
    return 1


def _settings(options: ServeOptions) -> Settings:
    properties: dict[str, str] = {}
    if options.config_file is not None:
        properties.update(parse_properties(options.config_file.read_text("iso-8859-1")))
    properties.update(options.settings)
    if options.data_dirs:
        properties["log.dirs"] = ",".join(options.data_dirs)
    if options.listen is not None:
        properties["listeners"] = f"PLAINTEXT://{options.listen}"
    if options.advertise is not None:
        properties["advertised.listeners"] = f"PLAINTEXT://{options.advertise}"
    settings = load(properties)
    for name in settings.unknown:
        logging.getLogger("kstore.configs").warning("config without effect name=%s", name)
    return settings


def new_runner() -> asyncio.Runner:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _run(settings: Settings, ready_file: Path | None) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = Server(settings)
    # With thousands of partitions it would go through all that was made time and again.
    gc.disable()
    await server.start()
    try:
        # What was made so far stays for good: the collector need not look at it again and again.
        gc.freeze()
        gc.enable()
        print(
            f"kstore ready: PLAINTEXT://{server.address} "
            f"(node {server.node_id}, cluster {server.cluster_id}, "
            f"data {','.join(map(str, server.directories))})",
            flush=True,
        )
        if ready_file is not None:
            _write_ready(ready_file, server.address)
        lost = server.broker.log_dirs.lost
        lost.then(lambda _: stopping.set())
        await stopping.wait()
        if lost.done:
            await _stop_what_is_left(server)
            raise StoreError(lost.result())
    finally:
        await server.stop()
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def _stop_what_is_left(server: Server) -> None:
    """What can't be closed any more is not news: its disk has failed."""
    try:
        await server.stop()
    except (OSError, StoreError, KafkaError) as error:
        logging.getLogger("kstore.server").error("not closed cleanly reason=%s", error)


def _write_ready(ready_file: Path, address: str) -> None:
    """By rename, so that whoever sees the file sees all of it."""
    temporary = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.tmp")
    temporary.write_text(address + "\n")
    temporary.replace(ready_file)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s")
    formatter.converter = time.gmtime
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
