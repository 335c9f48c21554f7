"""What is generated from something else says what that says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "tool", ["tools/generate_api_table.py", "tools/generate_configs_page.py", "bench/report.py"]
)
def test_a_generated_page_is_up_to_date(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, tool, "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_of_the_engine_runs(tmp_path: Path) -> None:
    """The ten lines of README.md, run as they stand."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (example,) = [block for block in blocks if "kstore.open" in block]
    # The engine tested here, also where PYTHONPATH names it from the checkout.
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "b'sensor-1' b'20.5'" in done.stdout
    assert "b'sensor-2' b'19.0'" in done.stdout
