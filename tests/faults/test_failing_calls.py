"""One call of the file system fails, whichever it is, with a full disk or a failing one."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from tests.faults.life import count_calls, fail_one_call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_one_of_some_calls_fails(tmp_path: Path, seed: int, code: int) -> None:
    count = count_calls(tmp_path / "whole", seed)
    for number in random.Random(seed).sample(range(1, count + 1), 4):
        fail_one_call(tmp_path / str(number), seed, number, code)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_each_call_fails(tmp_path: Path, seed: int, code: int) -> None:
    for number in range(1, count_calls(tmp_path / "whole", seed) + 1):
        fail_one_call(tmp_path / str(number), seed, number, code)
