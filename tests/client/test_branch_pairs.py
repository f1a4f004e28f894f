"""Resets and forks of runs that have something under way: hooks, people that were asked, activities of each kind, schedules."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from memflow import Client, RetryPolicy, Worker, activity, workflow
from memflow.client.handle import Handle
from memflow.errors import ConfigurationError, HookError
from tests.polling import until

RAN: list[str] = []
HOLD = asyncio.Event()


@pytest.fixture(autouse=True)
def fresh() -> None:
    RAN.clear()
    HOLD.clear()


# ------------------------------------------------------------------------------------------------- hooks


async def wait_in_a_hook(name: str) -> str:
    return f"{name}: {await workflow.wait_for(name)}"


@workflow.defn
async def has_a_hook() -> list[Any]:
    inner = asyncio.ensure_future(workflow.exec_hook(wait_in_a_hook, "inner"))
    await workflow.wait_for("outer")
    return [await inner, await workflow.wait_for("last")]


@workflow.defn
async def host() -> str:
    return str(await workflow.wait_for("finish"))


@workflow.defn
async def guest(workflow_id: str) -> list[Any]:
    there = asyncio.ensure_future(workflow.exec_hook(wait_in_a_hook, "there", workflow_id=workflow_id))
    await workflow.wait_for("guest")
    try:
        return [await there]
    except HookError as error:
        return [str(error)]


HOOKS: dict[str, Any] = {"workflows": [has_a_hook, host, guest], "hooks": [wait_in_a_hook]}


async def idle(handle: Handle[Any], text: str) -> None:
    async def waits() -> bool:
        described = await handle.describe()
        asked = any(text in str(entry) for entry in await handle.history())
        return asked and "waiting" in str(described.detail)

    await until(waits)


async def has(handle: Handle[Any], kind: str, count: int = 1) -> None:
    async def enough() -> bool:
        return [entry.kind for entry in await handle.history()].count(kind) >= count

    await until(enough)


async def test_a_hook_of_its_own_goes_on_in_the_reset_run_and_in_a_fork(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, **HOOKS):
        old = await client.workflow.start(has_a_hook, id="h")
        await idle(old, "outer")
        fork = await old.fork(from_="last", id="h2")
        new = await old.reset(to="last")
        for each in (new, fork):
            await each.signal("inner", each.id)
            await each.signal("outer")
            await each.signal("last", "end")
        assert await new.result(20) == ["inner: h", "end"]
        assert await fork.result(20) == ["inner: h2", "end"]


async def test_who_is_reset_gets_the_answer_of_the_hook_that_it_had_sent(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, **HOOKS):
        target = await client.workflow.start(host, id="target")
        old = await client.workflow.start(guest, "target", id="guest")
        await has(target, "hook_received")
        await idle(old, "guest")
        with pytest.raises(ConfigurationError, match=r"hooks that have not ended \(target\)"):
            await old.fork(from_="last")
        new = await old.reset(to="last")
        again = await old.reset(to="last")                # the old one again: the hook has gone over to the first reset
        await target.signal("there", "answer")
        await again.signal("guest")
        assert await again.result(20) == ["there: answer"]
        assert await new.result(20) == ["there: answer"], "a handle follows"
        kinds = [entry.kind for entry in await target.history()]
        assert kinds.count("hook_received") == 1, "it was not sent twice"
        # From before the answer: what had come is known, for a reset as for a fork.
        fork = await again.fork(from_="first", id="what-if")
        await fork.signal("guest")
        assert await fork.result(20) == ["there: answer"]
        last = await again.reset(to="first")
        assert await last.result(20) == ["there: answer"]
        await target.terminate()


async def test_an_answer_that_nobody_was_there_to_take_is_told_as_lost(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, **HOOKS):
        target = await client.workflow.start(host, id="target")
        old = await client.workflow.start(guest, "target", id="guest")
        await has(target, "hook_received")
        await idle(old, "guest")
        await old.terminate()
        early = await old.fork(from_="last", id="early")  # nobody else waits for it any more
        await target.signal("there", "answer")
        await early.signal("guest")
        assert await early.result(20) == ["there: answer"]
        late = await old.reset(to="last")
        await late.signal("guest")
        assert "was lost" in (await late.result(20))[0]


async def test_hooks_that_others_sent_go_on_in_the_reset_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, **HOOKS):
        target = await client.workflow.start(host, id="target")
        first = await client.workflow.start(guest, "target", id="first")
        await has(target, "hook_received")
        second = await client.workflow.start(guest, "target", id="second")
        await has(target, "hook_received", 2)
        third = await client.workflow.start(guest, "target", id="third")
        await has(target, "hook_received", 3)
        point = [entry.seq for entry in await target.history() if entry.turn == 2][-1]
        reset = await target.reset(to=point)              # one was kept, the others come again
        await has(reset, "hook_received", 3)
        for handle in (first, second, third):
            await reset.signal("there", handle.id)
            await handle.signal("guest")
        for handle in (first, second, third):
            assert await handle.result(20) == [f"there: {handle.id}"]
        dropped = await client.workflow.start(guest, "target", id="dropped")
        await has(reset, "hook_received", 4)
        await reset.reset(to="first", reapply=False)
        await dropped.signal("guest")
        assert "ended before the hook did" in (await dropped.result(20))[0]


# ------------------------------------------------------------------------------------------------- people


@workflow.defn
async def asks() -> Any:
    return await workflow.wait_for("approval", escalation={"role": "manager", "metadata": {"order": 7}})


@workflow.defn
async def asks_then_waits() -> list[Any]:
    found = await workflow.wait_for("approval", default="not approved", escalation={"role": "manager"})
    return [found, await workflow.wait_for("end")]


async def test_a_copied_wait_asks_people_anew_with_the_run_that_waits(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[asks]):
        old = await client.workflow.start(asks, id="a")
        await idle(old, "approval")
        new = await old.reset(to="last")
        rows = await client.escalations.list(order="created_at")
        assert [(each.run_id, each.status) for each in rows] == [(old.run_id, "cancelled"), (new.run_id, "pending")]
        assert rows[1].metadata == {"order": 7} and rows[1].role == "manager"
        fork = await new.fork(from_="last", id="b")
        pending = {each.workflow_id: each for each in await client.escalations.list(status="pending")}
        assert set(pending) == {"a", "b"}, "each of them asks for itself"
        await client.escalations.resolve(pending["b"].id, {"by": "b"})
        await client.escalations.resolve(pending["a"].id, {"by": "a"})
        assert (await fork.result(20), await new.result(20)) == ({"by": "b"}, {"by": "a"})


async def test_what_people_decided_later_is_delivered_again_or_asked_again(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[asks_then_waits]):
        old = await client.workflow.start(asks_then_waits, id="a")
        await idle(old, "approval")
        [asked] = await client.escalations.list(status="pending")
        await client.escalations.cancel(asked.id)
        await idle(old, "end")
        # Behind the answer nobody is asked any more, and a signal that comes is nobody's.
        fork = await old.fork(from_="last", id="b")
        assert await client.escalations.list(status="pending") == []
        new = await old.reset(to="first")
        await idle(new, "end")
        assert await client.escalations.list(status="pending") == [], "the decision counts for the reset run too"
        anew = await new.reset(to="first", reapply=False)
        [asked] = await client.escalations.list(status="pending")
        assert asked.run_id == anew.run_id
        await client.escalations.resolve(asked.id, "yes")
        for each in (fork, anew):
            await each.signal("end", 1)
        assert (await fork.result(20), await anew.result(20)) == (["not approved", 1], ["yes", 1])


async def test_an_early_signal_resolves_the_copied_wait_with_its_escalation(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[asks]):
        old = await client.workflow.start(asks, id="a")
        await idle(old, "approval")
        await old.terminate()
        await client.signal("approval", "early")
        new = await old.reset(to="last")
        assert await new.result(20) == "early"
        newest = await client.escalations.get_by_signal("approval")
        assert newest is not None and (newest.run_id, newest.status, newest.payload) == (new.run_id, "resolved", "early")


# ------------------------------------------------------------------------------------------------- activities


@activity.defn(retry=RetryPolicy(initial_interval=0.01))
async def held(name: str) -> str:
    RAN.append(name)
    await HOLD.wait()
    return f"{name} attempt {activity.info().attempt}"


@activity.defn
async def opened(name: str) -> str:
    RAN.append(activity.info().task_token.hex())
    activity.raise_complete_async()


@workflow.defn
async def calls_locally() -> str:
    return await workflow.execute_local_activity(held, "local")


@workflow.defn
async def rests_locally() -> str:
    return await workflow.execute_local_activity(
        "missing_at_first", retry=RetryPolicy(initial_interval=60), local_retry_threshold=0.01
    )


@activity.defn
async def missing_at_first() -> str:
    RAN.append("rests")
    if len(RAN) == 1:
        raise ValueError("not yet")
    return f"attempt {activity.info().attempt}"


@workflow.defn
async def calls_opened() -> str:
    return await workflow.execute_activity(opened, "x", activity_id="open one")


@workflow.defn
async def calls_held() -> str:
    return await workflow.execute_activity(held, "held", activity_id="held one", task_queue="elsewhere")


async def ran(count: int) -> None:
    async def enough() -> bool:
        return len(RAN) >= count

    await until(enough)


async def rows_of(dsn: str, schema: str) -> list[tuple[str, int]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(f'select queue, op from "{schema}".activities order by run, op')
        return [(row["queue"], row["op"]) for row in rows]
    finally:
        await connection.close()


async def test_a_local_activity_in_flight_begins_anew_with_the_run_and_not_on_a_queue(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[calls_locally], activities=[held], graceful_shutdown_timeout=0):
            old = await client.workflow.start(calls_locally, id="l")
            await ran(1)
            await has(old, "schedule_activity")
            fork = await old.fork(from_="last", id="l2")
            await ran(2)
            new = await old.reset(to="last")
            assert all(queue == "" for queue, _ in await rows_of(dsn, schema)), "nobody else may claim it"
            await ran(3)
            HOLD.set()
            assert await new.result(20) == await fork.result(20) == "local attempt 1"
        assert await rows_of(dsn, schema) == []


async def test_a_local_activity_that_rests_starts_over_after_a_reset(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[rests_locally], activities=[missing_at_first]),
    ):
        old = await client.workflow.start(rests_locally)

        async def rests() -> bool:
            return await rows_of(dsn, schema) == [("", 1)]

        await until(rests)
        new = await old.reset(to="last")
        assert await new.result(20) == "attempt 1"
        assert await rows_of(dsn, schema) == []


async def test_an_activity_opened_for_others_is_opened_anew_and_its_old_token_ends_nothing(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[calls_opened], activities=[opened]),
    ):
        old = await client.workflow.start(calls_opened, id="o")
        await has(old, "schedule_activity")
        await ran(1)

        async def is_open() -> bool:
            [row] = await activities_of(dsn, schema, 1)
            return bool(row["owner"] == 0)

        await until(is_open)
        fork = await old.fork(from_="last", id="o2")
        new = await old.reset(to="last")
        await ran(3)
        with pytest.raises(Exception, match="not"):
            await client.get_activity_handle(task_token=bytes.fromhex(RAN[0])).complete("too late")
        for each in (fork, new):
            await client.get_activity_handle(workflow_id=each.id, activity_id="open one").complete(each.id)
        assert (await fork.result(20), await new.result(20)) == ("o2", "o")


async def activities_of(dsn: str, schema: str, run: int) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(f'select * from "{schema}".activities where run >= $1 order by run', run))
    finally:
        await connection.close()


async def test_a_paused_activity_stays_paused_for_the_reset_run_and_not_for_a_fork(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[calls_held]):
            old = await client.workflow.start(calls_held, id="p")
            await idle(old, "held")
            await client.get_activity_handle(workflow_id="p", activity_id="held one").pause()
            fork = await old.fork(from_="last", id="p2")
            new = await old.reset(to="last")
            states = {each.id: (await each.describe()).activities[0].state for each in (new, fork)}
            assert states["p"] == "paused" and states["p2"] != "paused"
            HOLD.set()
            async with Worker(client, task_queue="elsewhere", activities=[held]):
                assert await fork.result(20) == "held attempt 1"
                assert RAN == ["held"]
                await client.get_activity_handle(workflow_id="p", activity_id="held one").resume()
                assert await new.result(20) == "held attempt 1"


async def test_an_activity_without_a_workflow_can_be_reset_and_is_no_fork(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, activities=[held]):
        HOLD.set()
        handle = await client.activity.start(held, "alone", id="x")
        assert await handle.result(20) == "alone attempt 1"
        run = client.workflow.get_handle("activity/x")
        with pytest.raises(ConfigurationError, match="start it again under another id"):
            await run.fork(from_="first")
        await run.reset(to="first")
        assert await client.activity.get_handle("x", result_type=str).result(20) == "alone attempt 1"
        assert RAN == ["alone", "alone"]


# ------------------------------------------------------------------------------------------------- schedules


@workflow.defn
async def scheduled() -> str:
    await workflow.wait_for("never sent")
    return "no"


async def test_a_reset_run_takes_the_place_of_the_scheduled_one(dsn: str, schema: str) -> None:
    """For overlap it counts as the run that it replaces, whose end is no end for the schedule, let alone a failure."""
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[scheduled]):
        schedule = await client.schedule.create(
            "s", scheduled, spec="0 0 1 1 *", overlap="skip", pause_on_failure=True
        )
        await schedule.trigger()

        async def running() -> str:
            found = (await schedule.describe()).running
            return found[0].workflow_id if found else ""

        async def runs() -> bool:
            return bool(await running())

        await until(runs)
        old = client.workflow.get_handle(await running())
        await idle(old, "never sent")
        fork = await old.fork(from_="last", id="beside")
        new = await old.reset(to="last")
        ids = [run.id async for run in client.workflow.list('schedule = "s" and status = "running"')]
        assert ids == [new.id], "a fork is nobody's but its maker's"
        await schedule.trigger()

        async def skipped() -> bool:
            return (await schedule.describe()).overlap_skipped == 1

        await until(skipped)
        described = await schedule.describe()
        assert not described.paused and await running() == new.id
        await new.cancel()

        async def over() -> bool:
            return not await runs()

        await until(over)
        assert await fork.status() == "running"


# ------------------------------------------------------------------------------------------------- children


@workflow.defn
async def kid() -> str:
    return str(await workflow.wait_for("kid"))


@workflow.defn
async def parent() -> str:
    return await workflow.execute_child(kid, id="kid")


async def test_the_child_of_a_reset_run_goes_over_again_when_the_old_run_is_reset_again(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[parent, kid]):
        old = await client.workflow.start(parent)
        child = client.workflow.get_handle("kid")

        async def there() -> bool:
            return [run.id async for run in client.workflow.list('id = "kid"')] == ["kid"]

        await until(there)
        await old.reset(to="last")
        again = await old.reset(to="last")
        assert (await child.describe()).parent_run_id == again.run_id
        await child.signal("kid", "grown")
        assert await again.result(20) == "grown"
        third = await old.reset(to="first")
        assert await third.result(20) == "grown"
