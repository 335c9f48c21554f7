"""The order of a case's rounds, and what is left of a broker that fails; the brokers do nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.brokers.kind import Broker, Kind
from bench.compare import runner
from bench.compare.cases import Case
from bench.compare.results import Result, Round
from bench.compare.runner import CaseRun, Options
from bench.compare.stage import Running


class Idle(Broker):
    """A process that only writes a file into its data and waits."""

    def _program(self) -> list[str]:
        code = "import pathlib, sys, time; d = pathlib.Path(sys.argv[1]); d.mkdir(); "
        code += "(d / 'file').touch(); pathlib.Path(sys.argv[2]).touch(); time.sleep(60)"
        return [sys.executable, "-S", "-c", code, str(self.data_dir), str(self._ready_file)]

    def _is_ready(self) -> bool:
        return self._ready_file.exists()


def a_kind(name: str, why: str | None = None, jvm: bool = False) -> Kind:
    return Kind(name, "1.0", lambda: why, Idle, jvm=jvm)


class Log:
    """What was measured, and the brokers that were running then."""

    def __init__(self, fails: Mapping[str, int] = {}) -> None:
        self.rounds: list[tuple[str, int]] = []
        self.seen: list[Running] = []
        self.fails = fails

    def measure(self, running: Running, number: int) -> Round:
        if running not in self.seen:
            self.seen.append(running)
        self.rounds.append((running.kind.name, number))
        if self.fails.get(running.kind.name) == number:
            raise RuntimeError("out of order")
        return Round({"requests_per_s": float(number)})

    def main(self) -> list[tuple[str, int]]:
        return [one for one in self.rounds if one[1] > 0]


def run(log: Log, tmp_path: Path, *kinds: Kind, warm_up_s: float = 0, **case: object) -> Result:
    names = tuple(kind.name for kind in kinds)
    a_case = Case("a-case", "a case", log.measure, brokers=names, **case)  # type: ignore[arg-type]
    options = Options(rounds=2, warm_up_s=warm_up_s, scale=1, directory=tmp_path)
    result = CaseRun(a_case, {kind.name: kind for kind in kinds}, options).measure({"rounds": 2})
    for running in log.seen:
        assert running.broker.process is None
    assert list(tmp_path.iterdir()) == []
    assert Broker.running == []
    return result


def test_brokers_take_turns_and_nothing_is_left(tmp_path: Path) -> None:
    log = Log()
    result = run(log, tmp_path, a_kind("a"), a_kind("b"))
    assert log.main() == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert result.median("b", "requests_per_s") == 1.5
    assert result.brokers == {"a": "1.0", "b": "1.0"}


def test_what_is_no_broker_takes_its_turn_beside_kstore(tmp_path: Path) -> None:
    log = Log()
    extra = {"limit": lambda running: log.measure(running, 9)}
    result = run(log, tmp_path, a_kind("kstore"), a_kind("b"), extra=extra)
    turn = ["kstore", "b", "kstore"]
    assert [name for name, _ in log.main()] == turn * 2
    assert [number for _, number in log.main()] == [1, 1, 9, 2, 2, 9]
    assert result.values("limit", "requests_per_s") == [9, 9]


def test_a_broker_that_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    log = Log(fails={"a": 1})
    result = run(log, tmp_path, a_kind("a"), a_kind("b"), a_kind("c", why="not here"))
    assert log.main() == [("a", 1), ("b", 1), ("b", 2)]
    assert result.left_out == {"a": "out of order", "c": "not here"}
    assert "a" not in result.rounds


def test_a_warm_up_is_of_the_same_load_and_longer_for_a_jvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "NATIVE_WARM_UP_S", 0)
    log = Log()
    run(log, tmp_path, a_kind("a"), a_kind("b", jvm=True), warm_up_s=0.05)
    warm = [one for one in log.rounds if one[1] < 0]
    assert warm[0] == ("b", -1)
    assert {name for name, _ in warm} == {"b"}
    assert log.rounds == warm + log.main()


def test_fresh_brokers_start_anew_in_each_round(tmp_path: Path) -> None:
    log = Log()
    run(log, tmp_path, a_kind("a"), a_kind("b"), fresh=True, warm_up_s=60)
    assert log.rounds == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert len(log.seen) == 4
