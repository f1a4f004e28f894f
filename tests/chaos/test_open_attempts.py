"""Activities completed from outside while their workers die: each acknowledged completion is the result, and the only one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from memflow import Client
from memflow.client import Handle
from memflow.errors import ActivityNotFoundError
from tests.processes import WorkerProcess
from tests.worker import opening

RUNS = 40


async def test_acknowledged_completions_survive_dying_workers(dsn: str, schema: str, tmp_path: Path) -> None:
    chance = Random(11)
    async with await Client.connect(dsn, schema=schema) as client:
        worker = WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / "log0", lease=1)
        try:
            handles = [await client.workflow.start(opening.waits_for_an_answer, id=f"w{number}") for number in range(RUNS)]
            completing = asyncio.gather(*(acknowledged(client, handle, chance.random() * 3) for handle in handles))
            for number in range(1, 4):
                await asyncio.sleep(chance.random())
                worker.kill()
                worker.__exit__(None, None, None)
                worker = WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / f"log{number}", lease=1)
            answers = await asyncio.wait_for(completing, 60)
            results = await asyncio.wait_for(asyncio.gather(*(handle.result() for handle in handles)), 60)
        finally:
            worker.__exit__(None, None, None)
        assert results == answers
        for handle in handles:
            kinds = [each.kind for each in await handle.history()]
            assert kinds == ["run_started", "schedule_activity", "activity_completed", "complete"]


async def acknowledged(client: Client, handle: Handle[str], after: float) -> str:
    """Complete the activity, by three who do not know of one another; the answer of the one who was told that it worked."""
    await asyncio.sleep(after)

    async def try_one(who: int) -> str | None:
        answer = f"{handle.id} by {who}"
        try:
            await client.get_activity_handle(workflow_id=handle.id, activity_id=1).complete(answer)
        except ActivityNotFoundError:
            return None
        return answer

    while True:
        worked = [answer for answer in await asyncio.gather(*(try_one(who) for who in range(3))) if answer is not None]
        assert len(worked) <= 1
        if worked:
            return worked[0]
        await asyncio.sleep(0.1)
