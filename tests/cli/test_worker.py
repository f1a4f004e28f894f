"""`memflow worker` runs what a module decorates, and `memflow demo` shows it survive a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from memflow import Client

ROOT = Path(__file__).parent.parent.parent
MODULE = """
from memflow import activity, workflow

@activity.defn
async def double(number: int) -> int:
    return number * 2

@workflow.defn
async def doubling(number: int) -> int:
    return await double(number)
"""


async def test_a_worker_serves_its_queues_and_drains_on_sigterm(dsn: str, schema: str, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(MODULE)
    command = [sys.executable, "-m", "memflow", "worker", "sums", "--queue", "left", "--queue", "right", "--schema", schema]
    environment = {**os.environ, "MEMFLOW_DSN": dsn}
    async with await Client.connect(dsn, schema=schema) as client:
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as worker:
            try:
                for queue in ("left", "right"):
                    assert await client.workflow.execute("doubling", args=[21], task_queue=queue) == 42
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) == 0
                assert worker.stdout is not None
                shown = worker.stdout.read()
            finally:
                worker.kill()
    assert "doubling" in shown
    assert "double" in shown
    assert "left, right" in shown


def test_the_demonstration_finishes_an_order_whose_worker_was_killed(dsn: str, schema: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "memflow", "demo", "--dsn", dsn, "--schema", schema],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("counts the shelf") == 1, "what was recorded is not done again"
    assert "begins, attempt 1" in shown.stdout
    assert "begins, attempt 2" in shown.stdout
    assert "kill -9 of worker" in shown.stdout
    assert "result: 5 x item-123 reserved" in shown.stdout


def test_the_example_of_the_readme_runs_as_it_stands(dsn: str, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    example = readme.partition("```python\n")[2].partition("```")[0]
    assert example == (ROOT / "samples" / "order.py").read_text()
    (tmp_path / "order.py").write_text(example)
    shown = subprocess.run(
        [sys.executable, "order.py"],
        cwd=tmp_path, env={**os.environ, "MEMFLOW_DSN": dsn}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "5 x item-123 reserved\n"
