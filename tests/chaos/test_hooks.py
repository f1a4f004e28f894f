"""kill -9 of workers between a hook and its answer, and between a question to people and theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from memflow import Client
from tests.chaos.crash_workflows import asks_people, hooked, hooks_another
from tests.polling import until
from tests.processes import WorkerProcess

MODULE = "tests.chaos.crash_workflows"


@pytest.fixture
def crash_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crash.log"
    path.touch()
    monkeypatch.setenv("CRASH_LOG", str(path))
    return path


async def test_hooks_and_their_answers_survive_the_death_of_every_worker(
    dsn: str, schema: str, tmp_path: Path, crash_log: Path
) -> None:
    runs = 15

    async def steps() -> int:
        return len(crash_log.read_text().splitlines())

    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first:
            targets = [await client.workflow.start(hooked, id=f"t{n}") for n in range(runs)]
            callers = [await client.workflow.start(hooks_another, f"t{n}") for n in range(runs)]
            await until(lambda: _reached(steps, 60), seconds=30)
            first.kill()
        before = await steps()
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log") as second:
            await until(lambda: _reached(steps, before + 40), seconds=30)
            second.kill()
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "3.log"):
            answers = await asyncio.gather(*(each.result(timeout=60) for each in callers))
            for n in range(runs):
                await client.signal(f"end t{n}")
            results = await asyncio.gather(*(each.result(timeout=60) for each in targets))
        histories = [await each.history() for each in targets]
    assert answers == [45] * runs
    assert results == [[45, 1]] * runs, "each hook counted once in the record of its run"
    for history in histories:
        kinds = Counter(entry.kind for entry in history)
        assert kinds["hook_received"] == kinds["start_hook"] == kinds["answer_hook"] == 1
        assert kinds["activity_completed"] == 20
        assert [entry.seq for entry in history] == list(range(1, len(history) + 1))


async def _reached(steps: Callable[[], Awaitable[int]], count: int) -> bool:
    return await steps() >= count


async def test_questions_and_answers_survive_a_kill(dsn: str, schema: str, tmp_path: Path, crash_log: Path) -> None:
    async def asked() -> bool:
        return await client.escalations.count(role="chaos", status="pending") == 10

    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first:
            handles = [await client.workflow.start(asks_people, n) for n in range(10)]
            await until(asked, seconds=30)
            first.kill()
        rows = {each.signal_id: each for each in await client.escalations.list(role="chaos")}
        await client.escalations.resolve_all_or_none({rows[f"people {n}"].id: n for n in range(10)})
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log"):
            assert await asyncio.gather(*(each.result(timeout=30) for each in handles)) == list(range(10))
