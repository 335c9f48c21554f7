from typing import Any

from kstore.errors import KafkaError

__all__ = ["LogEnds", "PartitionEnds"]

class LogEnds:
    log_start_offset: int
    log_end_offset: int
    failed: KafkaError | None
    closed: bool

class PartitionEnds:
    def __init__(self, log: LogEnds) -> None: ...
    leader_epoch: int
    high_watermark: int
    last_stable_offset: int
    @property
    def watchers(self) -> set[Any]: ...
