"""Produce of transactional batches: what waits for the transaction coordinator, and what not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from kstore.broker.api import InEffect
from kstore.broker.apis.produce import API
from kstore.broker.context import Connection, RequestContext
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.broker.verification import Verifier
from kstore.configs import load
from kstore.errors import ErrorCode
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from tests.support.logs import NOW_MS, QuickFiles, batch

NONE = ErrorCode.NONE
PRODUCER = 7
KEY = tuple[str, int]


class Coordinator:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[KEY], Later[dict[KEY, ErrorCode]]]] = []
        self.verified: list[KEY] = []

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[KEY],
        *,
        client_version: int,
    ) -> Later[dict[KEY, ErrorCode]]:
        answer: Later[dict[KEY, ErrorCode]] = Later()
        self.asked.append((list(partitions), answer))
        return answer

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[KEY],
    ) -> dict[KEY, ErrorCode]:
        self.verified += partitions
        return dict.fromkeys(partitions, NONE)

    def answer(self, code: ErrorCode = NONE, **by_topic: ErrorCode) -> None:
        keys, answer = self.asked.pop(0)
        answer.complete({key: by_topic.get(key[0], code) for key in keys})


class Case:
    """Topics `t` and `u`, of one partition each."""

    def __init__(self, store: Store, runtime: ManualRuntime) -> None:
        self.runtime = runtime
        self.coordinator = Coordinator()
        self.partitions = Partitions()
        for number, topic in enumerate("tu"):
            log = store.create(topic, 0, topic_id=UUID(int=number + 1))
            self.partitions.add(Partition(log, PartitionImage(0, 1, 0, (1,), (1,))))
        settings = load({})
        self.broker: Any = SimpleNamespace(
            runtime=runtime,
            partitions=self.partitions,
            verifier=Verifier(runtime, self.coordinator, lambda: settings),
        )

    def send(
        self,
        *batches: tuple[str, bytes],
        version: int = 12,
        transactional_id: str | None = "id",
        acks: int = -1,
    ) -> Any:
        """The handler's answer; the frame is gone when it returns."""
        request = ProduceRequest(
            transactional_id=transactional_id,
            acks=acks,
            timeout_ms=1000,
            topic_data=[
                TopicProduceData(
                    name=topic, partition_data=[PartitionProduceData(index=0, records=data)]
                )
                for topic, data in batches
            ],
        )
        frame = bytearray(encode_request(request, version))
        context = RequestContext(self.broker, Connection("", 0, "test"), version, 1, None)
        answer = API.handle(memoryview(frame), 0, context)
        frame[:] = bytes(len(frame))
        return answer

    def codes(self, answer: Any, version: int = 12) -> list[ErrorCode]:
        parts = answer.result() if isinstance(answer, Later) else answer
        _, position = decode_response_header(0, version, parts[0], 4)
        response: Any = decode_response(0, version, parts[0], position)
        return [
            ErrorCode(partition.error_code)
            for topic in response.responses
            for partition in topic.partition_responses
        ]

    def values(self, topic: str) -> list[bytes | None]:
        partition = self.partitions.get(topic, 0)
        assert partition is not None
        return [record.value for record in partition.log.records()]


def transactional(value: bytes, sequence: int = 0, producer_id: int = PRODUCER) -> bytes:
    return batch(
        value,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=sequence,
        transactional=True,
    )


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    runtime = ManualRuntime(NOW_MS)
    with Store.open(tmp_path, runtime=runtime, files=QuickFiles()) as store:
        yield Case(store, runtime)


def test_the_first_batch_waits_and_so_does_the_connection(case: Case) -> None:
    first = case.send(("t", transactional(b"first")), ("u", batch(b"plain")))
    assert isinstance(first, Later)
    assert not isinstance(first, InEffect), "the next request must not overtake it"
    assert not first.done
    assert [keys for keys, _ in case.coordinator.asked] == [[("t", 0)]]
    assert case.values("u") == []
    case.coordinator.answer()
    assert case.codes(first) == [NONE, NONE]
    assert (case.values("t"), case.values("u")) == ([b"first"], [b"plain"])
    second = case.send(("t", transactional(b"second", 1)))
    assert case.codes(second) == [NONE], "at once"
    assert case.values("t") == [b"first", b"second"]


def test_that_of_an_older_client_is_looked_up_at_once(case: Case) -> None:
    sent = case.send(("t", transactional(b"first")), version=9)
    assert case.codes(sent, 9) == [NONE]
    assert (case.coordinator.verified, case.coordinator.asked) == ([("t", 0)], [])


def test_a_partition_that_is_refused_leaves_the_others(case: Case) -> None:
    sent = case.send(("t", transactional(b"t")), ("u", transactional(b"u")))
    case.coordinator.answer(t=ErrorCode.INVALID_TXN_STATE)
    assert case.codes(sent) == [ErrorCode.INVALID_TXN_STATE, NONE]
    assert (case.values("t"), case.values("u")) == ([], [b"u"])


def test_a_topic_that_was_deleted_meanwhile(case: Case) -> None:
    sent = case.send(("t", transactional(b"t")))
    case.partitions.remove("t", 0)
    case.coordinator.answer()
    assert case.codes(sent) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]


def test_requests_that_are_refused_as_a_whole(case: Case) -> None:
    plain = ("u", batch(b"plain"))
    nameless = case.send(("t", transactional(b"t")), plain, transactional_id=None)
    assert case.codes(nameless) == [ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED] * 2
    two = case.send(("t", transactional(b"t")), ("u", transactional(b"u", producer_id=8)))
    assert case.codes(two) == [ErrorCode.INVALID_PRODUCER_ID_MAPPING] * 2
    assert case.codes(case.send(plain)) == [NONE], "a transactional producer's plain batch"
    assert case.values("u") == [b"plain"]
    assert case.coordinator.asked == []


def test_bytes_that_are_no_batch(case: Case) -> None:
    cut = transactional(b"t")[:40]
    sent = case.send(("t", cut), ("u", transactional(b"u")))
    case.coordinator.answer()
    assert case.codes(sent) == [ErrorCode.INVALID_RECORD, NONE]
    without_producer = batch(b"t", transactional=True)
    assert case.codes(case.send(("t", without_producer))) == [NONE]


def test_acks_0_is_not_answered(case: Case) -> None:
    sent = case.send(("t", transactional(b"t")), acks=0)
    case.coordinator.answer()
    assert sent.result() == []
    assert case.values("t") == [b"t"]
