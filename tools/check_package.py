"""Does the installed wheel work? Serves one record and reads it back, with nothing of the checkout.

Run by `make package` with the interpreter of an environment that holds only the wheel and its
dependencies; `-I` keeps the checkout off `sys.path`. Uses the `kstore` command beside that
interpreter, as a user would.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KSTORE = str(Path(sys.executable).parent / "kstore")
DEADLINE_S = 60
RECORD = "tram-7,60.1699 24.9384\n"


def run(*arguments: str, stdin: str = "") -> str:
    """A `kstore` command that must succeed; what it printed."""
    done = subprocess.run(
        [KSTORE, *arguments], input=stdin, capture_output=True, text=True, timeout=DEADLINE_S
    )
    if done.returncode:
        sys.exit(f"kstore {arguments}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def await_ready(ready_file: Path, broker: subprocess.Popen[bytes]) -> str:
    """The broker's address, once it accepts clients."""
    deadline = time.monotonic() + DEADLINE_S
    while not ready_file.exists():
        if broker.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            sys.exit(f"the broker was not ready; its status is {broker.wait()}")
        time.sleep(0.01)
    return ready_file.read_text().strip()


def check(directory: Path) -> None:
    """One record through an installed broker."""
    ready_file = directory / "ready"
    serve = [KSTORE, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(directory / "data")]
    broker = subprocess.Popen([*serve, "--ready-file", str(ready_file)])
    try:
        at_broker = ("--bootstrap-server", await_ready(ready_file, broker))
        run("topics", *at_broker, "--create", "--topic", "vehicle-positions", "--partitions", "1")
        keyed = ("--property", "parse.key=true", "--property", "key.separator=,")
        run("console-producer", *at_broker, "--topic", "vehicle-positions", *keyed, stdin=RECORD)
        shown = ("--property", "print.key=true", "--property", "key.separator=,")
        some = ("--from-beginning", "--max-messages", "1", "--timeout-ms", str(DEADLINE_S * 1000))
        read = run("console-consumer", *at_broker, "--topic", "vehicle-positions", *shown, *some)
        if read != RECORD:
            sys.exit(f"wrote {RECORD!r}, read {read!r}")
        broker.send_signal(signal.SIGTERM)
        status = broker.wait(DEADLINE_S)
        if status:
            sys.exit(f"the broker stopped with status {status}")
    finally:
        broker.kill()
        broker.wait()
    run("check", str(directory / "data"))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        check(Path(directory))
    print("the installed kstore served a record and gave it back")


if __name__ == "__main__":
    main()
