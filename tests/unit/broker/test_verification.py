"""What is asked of the transaction coordinator before a transaction's first batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from kstore.broker.partition import Partition
from kstore.broker.verification import Verdicts, Verifier
from kstore.configs import load
from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers import Verification
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, QuickFiles, batch

KEY = ("topic", 0)


class Coordinator:
    """Answers as it is told, and remembers the questions."""

    def __init__(self, *codes: ErrorCode) -> None:
        self.codes = list(codes)
        self.asked: list[tuple[Any, ...]] = []

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[tuple[str, int]],
        *,
        client_version: int,
    ) -> Later[dict[tuple[str, int], ErrorCode]]:
        assert client_version == 2
        asked = (transactional_id, producer_id, producer_epoch, list(partitions), False)
        return Later.of(self._answer(asked))

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[tuple[str, int]],
    ) -> dict[tuple[str, int], ErrorCode]:
        return self._answer((transactional_id, producer_id, producer_epoch, list(partitions), True))

    def _answer(self, asked: tuple[Any, ...]) -> dict[tuple[str, int], ErrorCode]:
        self.asked.append(asked)
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        return dict.fromkeys(asked[3], code)


class Case:
    def __init__(self, store: Store, runtime: ManualRuntime) -> None:
        self.runtime = runtime
        self.partition = Partition(store.create("topic", 0), PartitionImage(0, 1, 0, (1,), (1,)))
        self.settings = load({})

    def ask(
        self, coordinator: Coordinator, *, adds: bool = True, knows_abortable: bool = True
    ) -> Later[Verdicts]:
        verifier = Verifier(self.runtime, coordinator, lambda: self.settings)
        return verifier.verify_produce(
            "id", 7, 0, {self.partition: 0}, adds=adds, knows_abortable=knows_abortable
        )

    def code(self, *codes: ErrorCode, adds: bool = True, knows_abortable: bool = True) -> ErrorCode:
        asked = self.ask(Coordinator(*codes), adds=adds, knows_abortable=knows_abortable)
        self.runtime.advance(1000)
        verdict = asked.result()[KEY]
        assert isinstance(verdict, KafkaError)
        return verdict.code

    def send(self, verification: Verification | None, sequence: int = 0) -> int:
        data = batch(
            b"v", producer_id=7, producer_epoch=0, base_sequence=sequence, transactional=True
        )
        appended = self.partition.produce(memoryview(data), NOW_MS, self.runtime, verification)
        assert not isinstance(appended, Later)
        return appended.base_offset


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime, files=QuickFiles()) as store:
        yield Case(store, runtime)


def test_only_the_first_batch_of_a_transaction_asks(case: Case) -> None:
    coordinator = Coordinator(ErrorCode.NONE)
    verdict = case.ask(coordinator).result()[KEY]
    assert isinstance(verdict, Verification)
    assert coordinator.asked == [("id", 7, 0, [KEY], False)]
    with pytest.raises(KafkaError):
        case.send(None)
    assert case.send(verdict) == 0
    assert case.ask(coordinator).result() == {}
    assert case.send(None, 1) == 1
    assert len(coordinator.asked) == 1


def test_older_clients_are_looked_up_unless_that_is_off(case: Case) -> None:
    coordinator = Coordinator(ErrorCode.NONE)
    assert isinstance(case.ask(coordinator, adds=False).result()[KEY], Verification)
    assert coordinator.asked[0][-1] is True
    case.settings = load({"transaction.partition.verification.enable": "false"})
    assert case.ask(coordinator, adds=False).result() == {}
    assert case.ask(coordinator, adds=True).result()[KEY] is not None
    assert len(coordinator.asked) == 2


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NETWORK_EXCEPTION,
    ],
)
def test_what_passes_makes_a_producer_send_again(case: Case, code: ErrorCode) -> None:
    assert case.code(code) is ErrorCode.NOT_ENOUGH_REPLICAS


def test_what_a_producer_is_told_instead(case: Case) -> None:
    assert case.code(ErrorCode.PRODUCER_FENCED) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert case.code(ErrorCode.INVALID_TXN_STATE) is ErrorCode.INVALID_TXN_STATE
    abortable = ErrorCode.TRANSACTION_ABORTABLE
    assert case.code(abortable) is abortable
    assert case.code(abortable, adds=False, knows_abortable=False) is ErrorCode.INVALID_TXN_STATE
    mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert case.code(mapping) is mapping


def test_while_the_last_transaction_ends_adding_is_tried_again_for_a_moment(case: Case) -> None:
    concurrent = ErrorCode.CONCURRENT_TRANSACTIONS
    coordinator = Coordinator(concurrent, concurrent, ErrorCode.NONE)
    asked = case.ask(coordinator)
    case.runtime.advance(39)
    assert not asked.done
    case.runtime.advance(1)
    assert isinstance(asked.result()[KEY], Verification)
    coordinator = Coordinator(concurrent)
    asked = case.ask(coordinator)
    case.runtime.advance(99)
    assert not asked.done
    case.runtime.advance(1)
    verdict = asked.result()[KEY]
    assert isinstance(verdict, KafkaError)
    assert verdict.code is concurrent
    assert len(coordinator.asked) == 6
    assert case.code(concurrent, adds=False) is ErrorCode.NOT_ENOUGH_REPLICAS


def test_an_old_epoch_is_refused_without_a_question(case: Case) -> None:
    plain = batch(b"v", producer_id=7, producer_epoch=3, base_sequence=0)
    case.partition.append(plain, NOW_MS)
    coordinator = Coordinator(ErrorCode.NONE)
    verdict = case.ask(coordinator).result()[KEY]
    assert isinstance(verdict, KafkaError)
    assert verdict.code is ErrorCode.INVALID_PRODUCER_EPOCH
    assert coordinator.asked == []
