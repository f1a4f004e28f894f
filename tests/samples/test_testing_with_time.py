"""The sample of tests that skip time passes under pytest, and by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAMPLE = "samples/testing_with_time.py"


@pytest.mark.parametrize("way", [[SAMPLE], ["-m", "pytest", "-q", SAMPLE]])
def test_the_sample_passes(way: list[str], dsn: str) -> None:
    environment = {**os.environ, "MEMFLOW_TEST_DSN": dsn}
    done = subprocess.run([sys.executable, *way], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
