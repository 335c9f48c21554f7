from typing_extensions import Buffer

class ProduceData:
    @property
    def transactional_id(self) -> str | None: ...
    @property
    def acks(self) -> int: ...
    @property
    def timeout_ms(self) -> int: ...
    @property
    def partitions(self) -> list[tuple[str | bytes, int, memoryview | None]]: ...

def parse_produce(frame: Buffer, position: int, flexible: bool, topic_ids: bool) -> ProduceData: ...
def encode_produce_reply(
    correlation_id: int,
    results: list[tuple[str | bytes, int, int, int, int, int]],
    flexible: bool,
    log_start: bool,
    record_errors: bool,
) -> bytes: ...
