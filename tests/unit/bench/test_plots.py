"""The pictures are drawn, also from results with holes, and stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.compare import plots
from bench.compare.cases import CASES
from bench.compare.results import Result, Round
from bench.compare.targets import TARGETS


def a_round(factor: float) -> Round:
    metrics = {target.metric: factor for target in TARGETS}
    metrics |= {target.to_metric: factor for target in TARGETS if target.to_metric}
    shares = [0, 0.5, 0.9, 0.99, 0.999, 1]
    return Round(metrics, [[share, factor * 10 ** (2 * share)] for share in shares])


def all_results() -> dict[str, Result]:
    brokers = {"kstore": 1.0, "kafka": 4.0, "tansu": 9.0}
    return {
        case.name: Result(
            case.name, case.title, {}, {}, rounds={n: [a_round(f)] for n, f in brokers.items()}
        )
        for case in CASES
    }


@pytest.mark.parametrize("name", sorted(plots.PICTURES))
@pytest.mark.parametrize("holes", [False, True], ids=["whole", "with holes"])
def test_a_picture(name: str, holes: bool, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'plots'")
    results = all_results()
    if holes:
        results = {case: results[case] for case in ("sync-1", "fetch-1", "crowd")}
        del results["sync-1"].rounds["kafka"]
    path = tmp_path / "picture.png"
    plots.DRAWN[name](results).savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 150_000
