from typing import Protocol, TypeVar

from typing_extensions import Buffer

class _Sized(Protocol):
    @property
    def size(self) -> int: ...

_Records = TypeVar("_Records", bound=_Sized)

class FetchShape:
    def __init__(
        self,
        *,
        replica_id: bool,
        log_start: bool,
        session: bool,
        leader_epoch: bool,
        rack: bool,
        last_fetched_epoch: bool,
        flexible: bool,
        topic_ids: bool,
    ) -> None: ...
    @property
    def replica_id(self) -> bool: ...
    @property
    def log_start(self) -> bool: ...
    @property
    def session(self) -> bool: ...
    @property
    def leader_epoch(self) -> bool: ...
    @property
    def rack(self) -> bool: ...
    @property
    def last_fetched_epoch(self) -> bool: ...
    @property
    def flexible(self) -> bool: ...
    @property
    def topic_ids(self) -> bool: ...

class FetchData:
    @property
    def replica_id(self) -> int: ...
    @property
    def max_wait_ms(self) -> int: ...
    @property
    def min_bytes(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def session_id(self) -> int: ...
    @property
    def session_epoch(self) -> int: ...
    @property
    def isolation_level(self) -> int: ...
    @property
    def partitions(self) -> list[tuple[str | bytes, int, int, int, int, int]]: ...
    @property
    def forgotten(self) -> list[tuple[str | bytes, int]]: ...
    @property
    def rack_id(self) -> str: ...

def parse_fetch(frame: Buffer, position: int, shape: FetchShape) -> FetchData: ...
def encode_fetch_reply(
    correlation_id: int,
    shape: FetchShape,
    error_code: int,
    session_id: int,
    results: list[
        tuple[
            str | bytes, int, int, int, int, int, list[tuple[int, int]] | None, _Records | None
        ]
    ],
) -> list[bytes | _Records]: ...
