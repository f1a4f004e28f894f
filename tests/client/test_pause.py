"""A paused run keeps everything and does nothing, until it is resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.errors import WorkflowClosedError, WorkflowFailedError, WorkflowNotFoundError
from tests.client import steps
from tests.polling import until
from tests.processes import WorkerProcess

GO = asyncio.Event()
RAN: list[str] = []


@activity.defn
async def slow(name: str) -> str:
    RAN.append(name)
    await GO.wait()
    return name


@workflow.defn
async def signals(count: int) -> list[Any]:
    return [await workflow.wait_for("n") for _ in range(count)]


@workflow.defn
async def two_steps() -> list[str]:
    return [await slow("one"), await slow("two")]


@workflow.defn
async def nap() -> str:
    await workflow.sleep_for(0.2)
    return "rested"


async def test_signals_are_kept_and_read_when_the_run_is_resumed(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[signals]):
        handle = await client.workflow.start(signals, 3)
        await until(lambda: waits(handle))
        await handle.pause("maintenance")
        assert await handle.status() == "paused"
        assert (await handle.describe()).detail == "paused: maintenance"
        for number in range(3):
            await handle.signal("n", number)
        length = (await handle.describe()).length
        another = await client.workflow.start(signals, 0)
        await another.result(timeout=20)
        shown = await handle.describe()
        assert (shown.length, shown.unread, shown.status) == (length, 3, "paused"), "nobody has advanced it"
        await handle.pause()
        await handle.resume()
        assert await handle.result(timeout=20) == [0, 1, 2]
        with pytest.raises(WorkflowClosedError):
            await handle.pause()
        with pytest.raises(WorkflowNotFoundError):
            await client.workflow.get_handle("nobody").resume()


async def waits(handle: Any) -> bool:
    return "waiting" in str((await handle.describe()).detail)


async def test_an_activity_under_way_ends_and_is_kept_and_the_next_waits(dsn: str, schema: str) -> None:
    GO.clear()
    RAN.clear()
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[two_steps, signals], activities=[slow]),
    ):
        handle = await client.workflow.start(two_steps)

        async def begun() -> bool:
            return RAN == ["one"]

        await until(begun)
        await handle.pause()
        GO.set()

        async def kept() -> bool:
            return (await handle.describe()).unread == 1

        await until(kept)
        await client.workflow.execute(signals, 0)
        assert RAN == ["one"] and await handle.status() == "paused"
        await handle.resume()
        assert await handle.result(timeout=20) == ["one", "two"]
        assert RAN == ["one", "two"]


async def test_a_timer_fires_when_the_run_is_resumed(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[nap]):
        handle = await client.workflow.start(nap)
        await handle.pause()
        await asyncio.sleep(0.5)                         # longer than its timer; a timer that fired would have ended it
        assert await handle.status() == "paused"
        await handle.resume()
        assert await handle.result(timeout=20) == "rested"


async def test_a_run_paused_before_its_first_turn_begins_when_it_is_resumed(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(signals, 0)
        await handle.pause()
        async with Worker(client, workflows=[signals]):
            await client.workflow.execute(signals, 0)
            assert (await handle.describe()).length == 0
            await handle.resume()
            assert await handle.result(timeout=20) == []


async def test_terminate_reaches_a_paused_run_at_once_and_cancel_when_it_is_resumed(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[signals]):
        ended = await client.workflow.start(signals, 1)
        await ended.pause()
        await ended.terminate("enough")
        with pytest.raises(WorkflowFailedError, match="terminated"):
            await ended.result(timeout=20)
        cancelled = await client.workflow.start(signals, 1)
        await until(lambda: waits(cancelled))
        await cancelled.pause()
        await cancelled.cancel()
        assert await cancelled.status() == "paused"
        await cancelled.resume()
        with pytest.raises(WorkflowFailedError, match="cancelled"):
            await cancelled.result(timeout=20)


@workflow.defn
class Asked:
    @workflow.run
    async def run(self) -> str:
        return str(await workflow.wait_for("n"))

    @workflow.query
    def fine(self) -> str:
        return "fine"


async def test_a_paused_run_answers_queries_even_with_mail_unread(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Asked]):
        handle = await client.workflow.start(Asked.run)
        await until(lambda: waits(handle))
        await handle.pause()
        await handle.signal("n", 1)
        assert await handle.query(Asked.fine) == "fine"


@workflow.defn
async def busy(rounds: int) -> int:
    for _ in range(rounds):
        await quick()
    return rounds


@activity.defn
async def quick() -> None:
    RAN.append("quick")


async def test_a_run_in_full_swing_stops_and_goes_on_where_it_was(dsn: str, schema: str) -> None:
    RAN.clear()
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[busy], activities=[quick]):
        handle = await client.workflow.start(busy, 1200)

        async def well_on() -> bool:
            return len(RAN) > 20

        for _ in range(5):
            RAN.clear()
            await until(well_on)
            await handle.pause()

            async def let_go() -> bool:
                row = await client.store.find_run(handle.id)
                return row is not None and row.owner is None

            await until(let_go)
            before = (await handle.describe()).length
            await client.workflow.execute(busy, 0)
            assert (await handle.describe()).length == before
            await handle.resume()
        assert await handle.result(timeout=90) == 1200
        kinds = [entry.kind for entry in await handle.history()]
        assert kinds.count("activity_completed") == 1200


async def test_a_paused_run_stays_so_when_the_worker_that_holds_it_dies(
    tcp_dsn: str, dsn: str, schema: str, tmp_path: Path
) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        with WorkerProcess(tcp_dsn, schema, "tests.client.steps", log=tmp_path / "log", lease="1 second") as process:
            handle = await client.workflow.start(steps.many, 400)

            async def well_on() -> bool:
                return (await handle.describe()).length > 20

            await until(well_on)
            process.freeze()                             # it holds the run, and cannot let go
            await handle.pause()
            process.kill()
        async with Worker(client, workflows=[steps.many], activities=[steps.step], lease="1 second"):

            async def freed() -> bool:
                row = await client.store.find_run(handle.id)
                return row is not None and row.owner is None

            await until(freed, seconds=20)
            length = (await handle.describe()).length
            await client.workflow.execute(steps.many, 0)
            assert (await handle.describe()).length == length
            assert await handle.status() == "paused"
            await handle.resume()
            assert await handle.result(timeout=30) == 400
