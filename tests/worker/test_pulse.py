"""Code that blocks the event loop for longer than the lease costs the worker nothing but time."""

from __future__ import annotations

from pathlib import Path

import pytest

from memflow import Client, Worker
from tests.processes import WorkerProcess
from tests.worker.blocking import blocked, idle


async def test_a_blocked_loop_keeps_its_lease_and_says_where_it_is_held_up(
    dsn: str, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = tmp_path / "attempts.log"
    monkeypatch.setenv("BLOCK_LOG", str(attempts))
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[idle], task_queue="elsewhere"),  # it looks for the silent once a second
    ):
        with WorkerProcess(dsn, schema, "tests.worker.blocking", log=tmp_path / "w.log", lease=1) as process:
            assert await client.workflow.execute(blocked) == "done"
            log = process.log()
    assert attempts.read_text() == "attempt 1\n"
    assert "has not answered" in log
    assert "blocking.py" in log
    assert "registering anew" not in log
