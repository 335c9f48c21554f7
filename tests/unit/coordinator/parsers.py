"""The stored records of coordinators: keys and values, in all versions. Kafka ignores junk."""

from __future__ import annotations

from functools import partial

from kstore.coordinator.records import MalformedRecordError, decode_record
from kstore.coordinator.transaction_records import decode_transaction_record
from tests.support.parsers import Parser, register
from tests.unit.coordinator.test_records import (
    GROUP_KEY,
    GROUP_VALUES,
    OFFSET_KEY,
    OFFSET_VALUES,
)
from tests.unit.coordinator.test_transaction_records import KEY as TRANSACTION_KEY
from tests.unit.coordinator.test_transaction_records import VALUES as TRANSACTION_VALUES


def _decode_value(key: str, data: bytes) -> object:
    return decode_record(bytes.fromhex(key), data)


register(
    Parser(
        "key of a stored record",
        lambda data: decode_record(data, None),
        lambda: [bytes.fromhex(OFFSET_KEY), bytes.fromhex(GROUP_KEY)],
        MalformedRecordError,
        junk_is_error=False,
    )
)
for _name, _key, _values in (
    ("offset commit", OFFSET_KEY, OFFSET_VALUES),
    ("group metadata", GROUP_KEY, GROUP_VALUES),
):
    for _version, _value in _values.items():
        register(
            Parser(
                f"stored {_name} v{_version}",
                partial(_decode_value, _key),
                partial(lambda value: [bytes.fromhex(value)], _value),
                MalformedRecordError,
                junk_is_error=False,
            )
        )
for _case, _text in TRANSACTION_VALUES.items():
    register(
        Parser(
            f"stored transaction v{_case[0]}, {_case[1]}",
            partial(decode_transaction_record, bytes.fromhex(TRANSACTION_KEY)),
            partial(lambda text: [bytes.fromhex(text)], _text),
            MalformedRecordError,
            junk_is_error=False,
        )
    )
