"""Every sample runs as it stands, against the database of this test run, and ends well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path.name for path in (ROOT / "samples").glob("*.py"))

LONGEST_SECONDS = 90
"""A sample takes a few seconds; machines that run tests are slow."""


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_runs_and_says_something(name: str, dsn: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "samples" / name)],
        cwd=tmp_path,
        env={**os.environ, "MEMFLOW_DSN": dsn, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and not done.stderr
