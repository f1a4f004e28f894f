"""kill -9 of workers that encrypt and intercept: what the next one rebuilds is what the last one wrote."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memflow import Client
from tests.chaos import sealed_workflows
from tests.chaos.sealed_workflows import sealed_steps
from tests.chaos.test_kill import crash_log as crash_log  # the fixture
from tests.chaos.test_kill import until
from tests.processes import WorkerProcess

MODULE = sealed_workflows.__name__


@pytest.mark.parametrize("killed_after", [5, 60])
async def test_a_killed_worker_is_taken_over_though_everything_is_encrypted(
    killed_after: int, dsn: str, schema: str, tmp_path: Path, crash_log: Path
) -> None:
    around = sealed_workflows.INTERCEPTORS
    async with Client.connect(dsn, schema=schema, codec=sealed_workflows.CODEC, interceptors=around) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first:
            handles = []
            for n in range(20):
                sealed_workflows.USER.set(f"user-{n}")
                handles.append(await client.workflow.start(sealed_steps, "secret"))
            await until(crash_log, killed_after)
            first.kill()
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log"):
            results = await asyncio.gather(*(handle.result(timeout=60) for handle in handles))
    assert results == [[f"{step} user-{n} secret" for step in range(10)] for n in range(20)]
