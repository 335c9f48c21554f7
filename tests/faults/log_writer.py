"""A process that appends to a log until it is killed, and says what was acknowledged.

Run as `python -m tests.faults.log_writer DIRECTORY`: a line with the next offset after each append.
"""

from __future__ import annotations

import sys

from kstore.configs import LogConfig
from kstore.log.store import Store

BATCH_COUNT = 3


def value(number: int) -> bytes:
    """What stands in the batch with this number: its number, and some bytes more."""
    return b"%d " % number * (1 + number % 97)


def main(directory: str) -> None:
    store = Store.open(directory, config=LogConfig(segment_bytes=50_000, index_interval_bytes=500))
    log = store.logs.get(("topic", 0)) or store.create("topic")
    number = log.log_end_offset // BATCH_COUNT
    while True:
        log.append_records([(None, value(number))] * BATCH_COUNT)
        number += 1
        sys.stdout.write(f"{log.log_end_offset}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
