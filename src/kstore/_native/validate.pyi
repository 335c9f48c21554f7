from collections.abc import Sequence
from typing import Final, Self, final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader

__all__ = [
    "BASE_OFFSET",
    "CODEC",
    "CONTROL",
    "MANY_BATCHES",
    "MAX_RECORD_FAULTS",
    "NO_BATCH",
    "NO_KEY",
    "OFFSET_GAP",
    "OFFSET_RANGE",
    "RECORDS",
    "RECORD_COUNT",
    "SEQUENCE",
    "TIMESTAMP",
    "TIMESTAMP_TYPE",
    "TOO_LARGE",
    "AppendRules",
    "InvalidBatch",
    "validate_batch",
    "validate_records",
]

NO_BATCH: Final[int]
MANY_BATCHES: Final[int]
TOO_LARGE: Final[int]
BASE_OFFSET: Final[int]
OFFSET_RANGE: Final[int]
RECORD_COUNT: Final[int]
CONTROL: Final[int]
SEQUENCE: Final[int]
CODEC: Final[int]
RECORDS: Final[int]
OFFSET_GAP: Final[int]
NO_KEY: Final[int]
TIMESTAMP: Final[int]
TIMESTAMP_TYPE: Final[int]
FAULTS: Final[tuple[str, ...]]
MAX_RECORD_FAULTS: Final[int]

class InvalidBatch(ValueError):
    fault: int
    header: BatchHeader | None
    records: Sequence[tuple[int, int, int]]
    def __init__(
        self,
        fault: int,
        header: BatchHeader | None = None,
        records: Sequence[tuple[int, int, int]] = (),
    ) -> None: ...

@final
class AppendRules:
    def __new__(
        cls,
        *,
        max_size: int,
        keys_required: bool,
        log_append_time: bool,
        before_max_ms: int,
        after_max_ms: int,
    ) -> Self: ...
    @property
    def max_size(self) -> int: ...
    @property
    def keys_required(self) -> bool: ...
    @property
    def log_append_time(self) -> bool: ...
    @property
    def before_max_ms(self) -> int: ...
    @property
    def after_max_ms(self) -> int: ...

def validate_batch(
    data: Buffer, rules: AppendRules, now_ms: int, from_client: bool
) -> BatchHeader: ...
def validate_records(
    header: BatchHeader, records: Buffer, rules: AppendRules, now_ms: int
) -> None: ...
