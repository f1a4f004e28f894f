"""A run that ends while it is flooded with mail ends in bounded time, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.errors import WorkflowClosedError
from tests.polling import until

DONE = 0


@activity.defn
async def work(name: str) -> str:
    return name


@workflow.defn
class Flooded:
    """Counts what comes until it is told to end, and then does one more thing."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.over = False

    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: self.over)
        await work("last")
        return self.got

    @workflow.signal
    def add(self, number: int) -> None:
        self.got.append(number)

    @workflow.signal
    def end(self) -> None:
        self.over = True


async def test_it_ends_while_many_senders_go_on_and_on(dsn: str, schema: str) -> None:
    senders, acknowledged, refused = 40, [], 0

    async with (
        await Client.connect(dsn, schema=schema) as one,
        await Client.connect(dsn, schema=schema) as two,
        await Client.connect(dsn, schema=schema) as three,
        Worker(one, workflows=[Flooded], activities=[work]),
    ):
        handle = await one.workflow.start(Flooded.run)

        async def send(number: int) -> None:
            nonlocal refused
            mine = (two, three)[number % 2].workflow.get_handle(handle.id)
            for count in range(1_000_000):
                try:
                    await mine.signal(Flooded.add, number * 1_000_000 + count)
                except WorkflowClosedError:
                    refused += 1
                    return
                acknowledged.append(number * 1_000_000 + count)

        async with asyncio.TaskGroup() as group:
            for number in range(senders):
                group.create_task(send(number))

            async def well_under_way() -> bool:
                return len(acknowledged) > 500

            await until(well_under_way, seconds=30)
            await handle.signal(Flooded.end)
            got = await handle.result(timeout=30)
        assert refused == senders
        assert sorted(got) == sorted(acknowledged), "each acknowledged signal was read, once"
        for number in range(senders):
            mine = [each for each in got if each // 1_000_000 == number]
            assert mine == sorted(mine), "in the order of its sender"


@workflow.defn
async def stops() -> str:
    return str(await workflow.wait_for("stop"))


async def test_an_end_in_the_middle_of_more_mail_than_a_turn_takes(dsn: str, schema: str) -> None:
    """Else each try would meet the rest of it, end at the same place, and be undone for ever."""
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(stops)
        await asyncio.gather(*(handle.signal("other", number) for number in range(900)))
        await handle.signal("stop", "now")
        await asyncio.gather(*(handle.signal("other", number) for number in range(6000)))
        async with Worker(client, workflows=[stops]):
            assert await handle.result(timeout=30) == "now"


@workflow.defn
async def answers() -> str:
    return await work("the answer")


async def test_an_answer_in_memory_survives_an_end_that_is_tried_again(dsn: str, schema: str) -> None:
    """The turn that ends the run took an activity's result that only this worker knows; that turn is undone."""
    async with await Client.connect(dsn, schema=schema) as client:
        store: Any = client.store
        real, fooled = store.commit_turns, []

        async def commit(worker: int, turns: Any) -> Any:
            for turn in turns:
                if not turn.status.is_open and turn.run not in fooled:
                    fooled.append(turn.run)
                    await client.workflow.get_handle(handle.id).signal("late", 1)
            return await real(worker, turns)

        store.commit_turns = commit
        handle = await client.workflow.start(answers)
        async with Worker(client, workflows=[answers], activities=[work]):
            assert await handle.result(timeout=20) == "the answer"
        assert len(fooled) == 1
        assert [entry.kind for entry in await handle.history()].count("activity_completed") == 1


async def test_a_sender_inside_a_transaction_does_not_wait(dsn: str, schema: str) -> None:
    """It holds locks; to make it wait for the run that it wants to reach could be waiting for itself."""
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(stops)
        async with client.store.transaction() as connection:
            await connection.execute(f'update "{schema}".runs set ending_until = now() + interval \'1 hour\'')
        async with client.store.transaction() as connection:
            await handle.signal("stop", "hello", connection=connection)
        sent = asyncio.create_task(handle.signal("other"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sent), 0.3)
        async with Worker(client, workflows=[stops]):
            assert await handle.result(timeout=20) == "hello"
        with pytest.raises(WorkflowClosedError):
            await sent


@workflow.defn
async def floods(workflow_id: str, mine: int) -> list[int]:
    """Sends until it is told to stop, once each, in turns of its own."""
    sent: list[int] = []
    target = workflow.get_external_handle(workflow_id)
    for count in range(100_000):
        await target.signal(Flooded.add, mine + count)
        sent.append(mine + count)
        if await workflow.wait_for("enough", timeout=0.001, default=False):
            break
    return sent


async def test_it_ends_while_workflows_send_to_it_on_and_on(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as one,
        await Client.connect(dsn, schema=schema) as two,
        Worker(one, workflows=[Flooded], activities=[work]),
        Worker(two, task_queue="others", workflows=[floods]),
    ):
        handle = await one.workflow.start(Flooded.run, id="target")
        senders = [
            await one.workflow.start(floods, "target", number * 1_000_000, id=f"sender-{number}", task_queue="others")
            for number in range(8)
        ]

        async def well_under_way() -> bool:
            return (await handle.describe()).length > 50

        await until(well_under_way, seconds=30)
        await handle.signal(Flooded.end)
        got = await handle.result(timeout=40)
        assert len(got) == len(set(got))
        for sender in senders:
            await sender.signal("enough", True)
        for number, sender in enumerate(senders):
            sent = await sender.result(timeout=40)
            mine = [each for each in got if each // 1_000_000 == number]
            assert mine == sent[: len(mine)], "in the order of its sender, and none but the last are missing"


@workflow.defn
async def sends_once(workflow_id: str) -> str:
    await workflow.get_external_handle(workflow_id).signal(Flooded.add, 7)
    await workflow.hook(noted, "here", workflow_id=workflow_id)
    return "sent"


async def noted(text: str) -> None:
    await workflow.entity().append("log", text)


async def test_a_workflow_that_sends_to_a_run_which_is_ending_waits_and_holds_up_nobody(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[Flooded, sends_once], activities=[work], hooks=[noted]),
    ):
        target = await client.workflow.start(Flooded.run, id="target")

        async def waits() -> bool:
            return (await target.describe()).length > 0

        await until(waits)
        async with client.store.transaction() as connection:
            await connection.execute(
                f'update "{schema}".runs set ending_until = now() + interval \'1 hour\' where workflow_id = \'target\''
            )
        sender = await client.workflow.start(sends_once, "target")
        other = await client.workflow.start(Flooded.run, id="other")
        await other.signal(Flooded.end)
        assert await other.result(timeout=20) == [], "its neighbours go on"
        assert await sender.status() == "running" and len(await sender.history()) == 0
        async with client.store.transaction() as connection:
            await connection.execute(f'update "{schema}".runs set ending_until = null where workflow_id = \'target\'')
        assert await sender.result(timeout=20) == "sent"
        await target.signal(Flooded.end)
        assert await target.result(timeout=20) == [7]


@workflow.defn
async def collects_by_id(width: int) -> int:
    """Waits for many signals at once, by their id, and ends with the first."""
    waits = [asyncio.ensure_future(workflow.wait_for("shared")) for _ in range(width)]
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    return len(done)


async def test_signals_by_id_cannot_keep_a_run_open_since_each_takes_a_wait_away(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        await Client.connect(dsn, schema=schema) as other,
        Worker(client, workflows=[collects_by_id]),
    ):
        handle = await client.workflow.start(collects_by_id, 50)
        stop = asyncio.Event()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while not stop.is_set():
                await other.signal("shared", 1)
                sent += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(send())
            taken = await handle.result(timeout=30)
            stop.set()
        assert 1 <= taken <= 50
        history = await handle.history()
        assert sum(entry.kind == "signal_received" for entry in history) <= 50
