"""Every sample runs, ends by itself, says something, and complains about nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAMPLES = sorted((ROOT / "samples").glob("*.py"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_runs_and_ends(path: Path, tcp_dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=ROOT,
        env={**os.environ, "MEMFLOW_DSN": tcp_dsn, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "it says nothing"
    assert "Traceback" not in done.stderr, done.stderr


def test_there_are_samples() -> None:
    assert len(SAMPLES) > 5
