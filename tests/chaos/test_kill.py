"""kill -9, SIGSTOP and SIGTERM of real worker processes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from memflow import Client, WorkflowFailedError
from memflow.errors import ActivityError
from tests.chaos.crash_workflows import one_at_most, one_slow, ten_steps
from tests.processes import WorkerProcess

MODULE = "tests.chaos.crash_workflows"


@pytest.fixture
def crash_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crash.log"
    path.touch()
    monkeypatch.setenv("CRASH_LOG", str(path))
    return path


def lines(path: Path) -> list[list[str]]:
    return [line.split(" ", 2) for line in path.read_text().splitlines()]


async def until(path: Path, count: int, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while len(lines(path)) < count:
            await asyncio.sleep(0.01)


async def test_killed_worker_is_taken_over_within_two_seconds_and_nothing_is_lost_or_twice(
    dsn: str, schema: str, tmp_path: Path, crash_log: Path
) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with (
            WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first,
            WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log") as second,
        ):
            handles = [await client.workflow.start(ten_steps) for _ in range(40)]
            await until(crash_log, 80)
            first.kill()
            killed = time.time()
            results = await asyncio.gather(*(handle.result(timeout=20) for handle in handles))
        histories = [await handle.history() for handle in handles]
    assert results == [list(range(10))] * 40
    ran = [(float(at), int(pid), text.split()[2].split("/")[2]) for at, pid, text in lines(crash_log)]
    orphans = {run for _, pid, run in ran if pid == first.pid} & {run for _, pid, run in ran if pid == second.pid}
    assert orphans, "the kill came too late to be a test"
    for orphan in orphans:
        assert min(at for at, pid, run in ran if run == orphan and pid == second.pid and at > killed) - killed < 2.0
    for history in histories:
        kinds = Counter(entry.kind for entry in history)
        assert [entry.seq for entry in history] == list(range(1, len(history) + 1))
        assert kinds["activity_completed"] == kinds["schedule_activity"] == 10
        assert kinds["complete"] == 1


async def test_activity_in_flight_runs_again_with_the_same_idempotency_key(
    dsn: str, schema: str, tmp_path: Path, crash_log: Path
) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first:
            handle = await client.workflow.start(one_slow, "a")
            await until(crash_log, 1)
            first.kill()
            with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log"):
                assert await handle.result(timeout=15) == "a"
    ran = [text for _, _, text in lines(crash_log)]
    assert [text.split()[-1] for text in ran] == ["1", "2"], "the attempt that died counts"
    assert len({text.split()[2] for text in ran}) == 1


async def test_at_most_once_activity_is_not_repeated_after_a_kill(dsn: str, schema: str, tmp_path: Path, crash_log: Path) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log") as first:
            handle = await client.workflow.start(one_at_most, "a")
            await until(crash_log, 1)
            first.kill()
            with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log"):
                with pytest.raises(WorkflowFailedError) as failed:
                    await handle.result(timeout=15)
    assert isinstance(failed.value.cause, ActivityError)
    assert failed.value.cause.retry_state == "worker_lost"
    assert len(lines(crash_log)) == 1


async def test_frozen_worker_records_nothing_says_so_and_takes_new_work(
    dsn: str, schema: str, tmp_path: Path, crash_log: Path
) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log", lease=1.0) as zombie:
            handles = [await client.workflow.start(ten_steps) for _ in range(5)]
            await until(crash_log, 10)
            zombie.freeze()
            with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log", lease=1.0) as heir:
                results = await asyncio.gather(*(handle.result(timeout=20) for handle in handles))
                assert results == [list(range(10))] * 5
                heir.kill()
            zombie.thaw()
            assert await client.workflow.execute(ten_steps) == list(range(10))
            async with asyncio.timeout(5):
                while "registering anew" not in zombie.log():
                    await asyncio.sleep(0.05)
        for handle in handles:
            kinds = Counter(entry.kind for entry in await handle.history())
            assert kinds["activity_completed"] == 10
            assert kinds["complete"] == 1


async def test_sigterm_hands_back_at_once(dsn: str, schema: str, tmp_path: Path, crash_log: Path) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "1.log", graceful_shutdown_timeout=0.1, lease=60) as first:
            handle = await client.workflow.start(one_slow, "a")
            await until(crash_log, 1)
            with WorkerProcess(dsn, schema, MODULE, log=tmp_path / "2.log"):
                first.terminate()
                assert await handle.result(timeout=5) == "a"
