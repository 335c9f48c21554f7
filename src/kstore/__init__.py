"""kstore: Kafka's log as a storage engine, and a Kafka broker on top of it.

    import kstore

    with kstore.open("data") as store:
        log = store.create("greetings")
        log.append_records([(b"key", b"hello"), (None, b"world")])
        for record in log.records():
            print(record.offset, record.key, record.value)

Importing this costs nothing: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from kstore.configs import LogConfig
    from kstore.errors import CorruptLogError, ErrorCode, KafkaError, StoreError
    from kstore.log.append import Appended
    from kstore.log.columns import BinaryColumn, Columns
    from kstore.log.log import Log
    from kstore.log.records import Record
    from kstore.log.store import Store

__all__ = [
    "Appended",
    "BinaryColumn",
    "Columns",
    "CorruptLogError",
    "ErrorCode",
    "KafkaError",
    "Log",
    "LogConfig",
    "Record",
    "Store",
    "StoreError",
    "open",
]

_HOMES = {
    "Appended": "kstore.log.append",
    "BinaryColumn": "kstore.log.columns",
    "Columns": "kstore.log.columns",
    "CorruptLogError": "kstore.errors",
    "ErrorCode": "kstore.errors",
    "KafkaError": "kstore.errors",
    "Log": "kstore.log.log",
    "LogConfig": "kstore.configs",
    "Record": "kstore.log.records",
    "Store": "kstore.log.store",
    "StoreError": "kstore.errors",
}


def open(directory: str | Path, **options: Any) -> Store:
    """Opens the store in `directory`, which is made if it is not there; see `Store.open`.

    Raises StoreError, whose text is one line for a person, if the directory is in use or unfit.
    """
    from kstore.log.store import Store

    return Store.open(directory, **options)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
