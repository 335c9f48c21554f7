"""`--plot` draws a picture of what was measured, and says before the run why it can't."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kstore.cli.bench.plot import draw
from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.result import Result
from kstore.cli.bench.workloads import Load
from kstore.cli.main import main
from kstore.testing import BrokerThread

MS = 1_000_000


def result_of(part: str, latencies_ms: list[int]) -> Result:
    """A run of a second, a request every ms, in ten intervals."""
    recorder = Recorder()
    recorder.begin(0)
    for number, latency_ms in enumerate(latencies_ms):
        recorder.turn(number * MS)
        recorder.done(number * MS, (number + latency_ms) * MS, 3, 170)
    recorder.end(1000 * MS)
    return Result("connections", "idle-1000", Load(rate=3000.0), 1, recorder, "sent", part)


def test_the_picture_names_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "runs.svg"
    draw([result_of("alone", [2] * 1000), result_of("beside", [2] * 990 + [70] * 10)], file)
    drawn = file.read_text()
    # Letters are drawn as paths; the text of each stands beside it in a comment.
    for words in ("kstore bench connections", "alone", "beside", "Latency by percentile", "99 %"):
        assert words in drawn


def test_a_run_without_replies_for_a_while_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "gap.pdf"
    draw([result_of("", [1, 1, 1])], file)
    assert file.read_bytes().startswith(b"%PDF")


def test_a_broker_and_the_engine_are_drawn(tmp_path: Path) -> None:
    with BrokerThread() as broker:
        words = ["--bootstrap-server", broker.bootstrap_servers, "--num-records", "300"]
        picture = tmp_path / "produce.png"
        assert main(["bench", "produce", *words, "--broker-pid", "1", "--plot", str(picture)]) == 0
    engine = tmp_path / "append.PNG"
    assert main(["bench", "append", "--fill-size", "200000", "--plot", str(engine)]) == 0
    for file in (picture, engine):
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.stat().st_size > 10_000


def test_what_cannot_be_drawn_is_said_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error_of(file: str) -> str:
        assert main(["bench", "produce", "--bootstrap-server", "nowhere:1", "--plot", file]) > 0
        return capsys.readouterr().err

    assert error_of("a.txt").startswith("kstore: --plot a.txt: want a name that ends in .png, ")
    nowhere = str(tmp_path / "nowhere" / "a.png")
    assert error_of(nowhere) == f"kstore: --plot {nowhere}: no such directory\n"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = error_of(str(tmp_path / "a.png"))
    assert said == "kstore: --plot needs matplotlib: pip install 'kstore[plots]'\n"
