"""What has expired goes, what has not stays."""

from __future__ import annotations

import pytest

from memflow import Client, Worker, workflow
from memflow.errors import WorkflowNotFoundError
from memflow.worker import housekeeping
from tests.polling import until


@workflow.defn
async def short() -> str:
    return "done"


async def test_a_closed_run_goes_when_its_time_is_over_and_others_stay(
    dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_SECONDS", 0.05)
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[short]):
        going = await client.workflow.start(short, expire=0.05)
        staying = await client.workflow.start(short)
        assert await staying.result() == "done"

        async def gone() -> bool:
            try:
                await going.status()
            except WorkflowNotFoundError:
                return True
            return False

        await until(gone)
        assert await staying.result() == "done"
        assert await client.workflow.count() == 1
