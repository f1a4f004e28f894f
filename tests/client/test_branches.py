"""Runs that begin again from a point of a journal: in the place of the old one, or beside it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.client.handle import Handle
from memflow.errors import ConfigurationError, WorkflowAlreadyStartedError, WorkflowFailedError, WorkflowNotFoundError
from tests.polling import until

RAN: list[str] = []
FAIL = False
HOLD = asyncio.Event()


@activity.defn
async def step(name: str) -> str:
    RAN.append(name)
    if FAIL and name == "three":
        raise ValueError("broken")
    return f"{name} {len(RAN)}"


@activity.defn
async def held(name: str) -> str:
    RAN.append(name)
    await HOLD.wait()
    return name


@workflow.defn
async def steps() -> list[str]:
    done = [await step("one"), await step("two")]
    await workflow.enrich({"done": len(done)})
    done.append(await step("three"))
    await workflow.enrich({"done": len(done)})
    return done


@workflow.defn
async def draws() -> list[str]:
    """Chance and derived ids before and after a point."""
    found = [str(workflow.uuid4())]
    await workflow.wait_for("next")
    found.append(str(workflow.uuid4()))
    found.append(await workflow.execute_child(child, "x"))
    await workflow.wait_for("end")
    return [*found, str(workflow.uuid4())]


@workflow.defn
async def child(name: str) -> str:
    return f"{name} of {workflow.info().parent_workflow_id}"


@workflow.defn
async def collects() -> list[Any]:
    found: list[Any] = []
    while (value := await workflow.wait_for("n")) is not None:
        found.append(value)
        await step(f"n{value}")
    return found


async def idle(handle: Handle[Any], text: str = "waiting") -> None:
    async def waits() -> bool:
        return text in str((await handle.describe()).detail)

    await until(waits)


async def seqs(handle: Handle[Any], kind: str) -> list[int]:
    return [entry.seq for entry in await handle.history() if entry.kind == kind]


async def ends_of_turns(handle: Handle[Any]) -> list[int]:
    last: dict[int, int] = {}
    for entry in await handle.history():
        last[entry.turn] = entry.seq
    return list(last.values())


async def test_a_completed_run_is_reset_and_does_the_rest_again(dsn: str, schema: str) -> None:
    RAN.clear()
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[steps], activities=[step]):
        old = await client.workflow.start(steps, id="s")
        assert await old.result(timeout=20) == ["one 1", "two 2", "three 3"]
        point = (await ends_of_turns(old))[1]
        new = await old.reset(to=point)
        assert await new.result(timeout=20) == ["one 1", "two 4", "three 5"], "the first step's result is kept"
        assert RAN == ["one", "two", "three", "two", "three"]
        shown = await new.describe()
        assert (shown.id, shown.record["done"]) == ("s", 3)
        assert shown.origin is not None
        assert (shown.origin.kind, shown.origin.run_id, shown.origin.seq) == ("reset", old.run_id, point)
        assert await old.result(timeout=20) == ["one 1", "two 4", "three 5"], "a handle on the old run follows"
        assert (await old.describe()).next_run_id == new.run_id
        journal = await new.history()
        assert [entry.seq for entry in journal] == list(range(1, len(journal) + 1))


async def test_an_open_run_is_terminated_by_its_reset_and_its_mail_goes_along(dsn: str, schema: str) -> None:
    RAN.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[collects], activities=[step]):
            old = await client.workflow.start(collects, id="c")
            await idle(old)
            for number in (1, 2, 3):
                await old.signal("n", number)

            async def taken() -> bool:
                return RAN == ["n1", "n2", "n3"]

            await until(taken)
            await idle(old)
        await old.signal("n", 4)                         # unread when the run is reset
        new = await old.reset(to="first")
        assert await old.status() == "terminated"
        latest = client.workflow.get_handle("c")
        assert (await latest.describe()).run_id == new.run_id
        async with Worker(client, workflows=[collects], activities=[step]):
            await latest.signal("n", None)
            assert await new.result(timeout=20) == [1, 2, 3, 4]
            again = await new.reset(to="first", reapply=False)
            await again.signal("n", None)
            assert await again.result(timeout=20) == []


async def test_copied_turns_draw_the_same_and_later_ones_anew(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[draws, child]):
        old = await client.workflow.start(draws, id="d")
        await idle(old)
        await old.signal("next")
        await idle(old, "end")
        at_end = (await ends_of_turns(old))[-1]
        twin = await old.fork(from_=at_end, id="d2")
        early = await old.fork(from_="first", id="d3")
        await early.signal("next")
        await idle(early, "end")
        second = await early.fork(from_="last", id="d4")
        for each in (old, twin, early, second):
            await each.signal("end")
        a, b, c, d = [await each.result(timeout=20) for each in (old, twin, early, second)]
        assert a[:3] == b[:3] and a[3] != b[3]
        assert a[0] == c[0] and a[1] != c[1]
        assert (a[2], c[2]) == ("x of d", "x of d3")
        assert c[:3] == d[:3] and c[3] != d[3]
        assert (await twin.describe()).id == "d2"
        assert [e.kind for e in await old.history()][-1] == "complete"


async def test_a_fork_leaves_the_original_alone(dsn: str, schema: str) -> None:
    RAN.clear()
    HOLD.clear()

    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[two_held], activities=[step, held]):
        old = await client.workflow.start(two_held, id="o")

        async def begun() -> bool:
            return RAN == ["a", "held"]

        await until(begun)
        fork = await old.fork(from_="last", id="f")
        before = await old.history()

        async def twice() -> bool:
            return RAN == ["a", "held", "held"]

        await until(twice)
        assert await old.status() == "running" and (await old.history())[: len(before)] == before
        HOLD.set()
        assert await old.result(timeout=20) == await fork.result(timeout=20) == ["a 1", "held"]
        with pytest.raises(WorkflowNotFoundError):
            await client.workflow.get_handle("nobody").fork(from_="first")


@workflow.defn
async def two_held() -> list[str]:
    return [await step("a"), await held("held")]


async def test_a_failed_run_is_reset_to_before_the_step_that_failed(dsn: str, schema: str) -> None:
    global FAIL
    RAN.clear()
    FAIL = True
    try:
        async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[fails], activities=[step]):
            old = await client.workflow.start(fails)
            with pytest.raises(WorkflowFailedError):
                await old.result(timeout=20)
            FAIL = False
            new = await old.reset(to="op:2")
            assert await new.result(timeout=20) == ["one 1", "three 3"]
    finally:
        FAIL = False


@workflow.defn
async def fails() -> list[str]:
    last = workflow.proxy_activities(step, retry=once())
    return [await step("one"), await last("three")]


def once() -> Any:
    from memflow import RetryPolicy

    return RetryPolicy(maximum_attempts=1)


async def test_points_that_are_none_are_refused_with_their_neighbours(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        waiting = await client.workflow.start(steps)
        with pytest.raises(ConfigurationError, match="start it anew"):
            await waiting.reset(to="first")
        async with Worker(client, workflows=[steps], activities=[step]):
            await waiting.result(timeout=20)
        ends = await ends_of_turns(waiting)
        count = len(await waiting.history())
        for point in (0, -1, count, count + 10, ends[0] + 1 if ends[1] > ends[0] + 1 else ends[0] - 1):
            with pytest.raises(ConfigurationError, match=f"allowed are the ends of turns: {ends[0]}, {ends[1]}"):
                await waiting.reset(to=point)
        for wrong in ("", "last turn", "op:", "op:99", "op:x", 1.5, None, True):
            with pytest.raises(ConfigurationError):
                await waiting.fork(from_=wrong)  # type: ignore[arg-type]
        assert await client.workflow.count() == 1, "nothing was begun"


async def test_a_fork_needs_a_free_id(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[collects], activities=[step]):
        one = await client.workflow.start(collects, id="one")
        two = await client.workflow.start(collects, id="two")
        await idle(one)
        with pytest.raises(WorkflowAlreadyStartedError):
            await one.fork(from_="first", id="two")
        with pytest.raises(ConfigurationError):
            await one.fork(from_="first", id="")
        await two.terminate()
        fork = await one.fork(from_="first", id="two")
        await fork.signal("n", None)
        assert await fork.result(timeout=20) == []


@workflow.defn
async def patient_child() -> str:
    return str(await workflow.wait_for("child, go"))


@workflow.defn
async def mother() -> list[Any]:
    handle = await workflow.start_child(patient_child, id="kid")
    await workflow.wait_for("mother")
    return [await handle.result(), await workflow.wait_for("more", timeout=0.05, default="none")]


async def test_children_under_way_go_over_to_the_reset_run_and_refuse_a_fork(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[mother, patient_child]):
        old = await client.workflow.start(mother, id="m")
        await idle(old, "mother")
        kid = client.workflow.get_handle("kid")
        with pytest.raises(ConfigurationError, match="kid"):
            await old.fork(from_="last")
        new = await old.reset(to="last")
        assert await kid.status() == "running", "the reset has not ended it"
        assert (await kid.describe()).parent_run_id == new.run_id
        await client.signal("child, go", "grown")
        assert await kid.result(timeout=20) == "grown"
        await new.signal("mother")
        assert await new.result(timeout=20) == ["grown", "none"]
        # Its child has ended: now its answer is copied, for a fork and for a reset from before that answer.
        before = (await seqs(new, "child_completed"))[0] - 1
        points = [seq for seq in await ends_of_turns(new) if seq <= before]
        fork = await new.fork(from_=points[-1], id="m2")
        await fork.signal("mother")
        assert (await fork.result(timeout=20))[0] == "grown"


async def test_resetting_twice_at_once_makes_one_line_of_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[collects], activities=[step]):
        old = await client.workflow.start(collects, id="c")
        await idle(old)
        made = await asyncio.gather(*(old.reset(to="first") for _ in range(5)))
        runs = [run async for run in client.workflow.list('id = "c"')]
        assert len(runs) == 6
        assert [run.status for run in runs].count("running") == 1  # type: ignore[comparison-overlap]
        latest = client.workflow.get_handle("c")
        await latest.signal("n", None)
        assert [await each.result(timeout=20) for each in (old, *made)] == [[]] * 6


async def test_updates_are_answered_again_by_the_reset_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Counter]):
        old = await client.workflow.start(Counter.run, id="u")
        for amount in (1, 2):
            await old.update(Counter.add, amount, id=f"add {amount}")
        new = await old.reset(to="first")
        assert await new.update(Counter.add, 10) == 13
        assert await new.get_update_handle("add 2").result(timeout=20) == 3
        await new.signal("end")
        assert await new.result(timeout=20) == 13


@workflow.defn
class Counter:
    def __init__(self) -> None:
        self.total = 0

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_for("end")
        return self.total

    @workflow.update
    async def add(self, amount: int) -> int:
        self.total += amount
        return self.total


@workflow.defn
class Gathers:
    def __init__(self) -> None:
        self.got: list[int] = []
        self.over = False

    @workflow.run
    async def run(self) -> list[int]:
        await workflow.wait_condition(lambda: self.over)
        return self.got

    @workflow.signal
    async def add(self, number: int) -> None:
        self.got.append(number)

    @workflow.signal
    def end(self) -> None:
        self.over = True


async def test_no_signal_is_lost_or_doubled_by_resets_and_pauses_under_fire(dsn: str, schema: str) -> None:
    """Senders address the workflow id; whichever run has it, and whatever is done to it, each signal counts once."""
    async with (
        await Client.connect(dsn, schema=schema) as client,
        await Client.connect(dsn, schema=schema) as other,
        Worker(client, workflows=[Gathers]),
        Worker(other, workflows=[Gathers], max_cached_workflows=0),
    ):
        await client.workflow.start(Gathers.run, id="g")
        latest = client.workflow.get_handle("g")
        sent: list[int] = []
        stop = asyncio.Event()

        async def send(sender: int) -> None:
            mine = (client, other)[sender % 2].workflow.get_handle("g")
            number = sender * 1_000_000
            while not stop.is_set():
                await mine.signal(Gathers.add, number)
                sent.append(number)
                number += 1

        async with asyncio.TaskGroup() as group:
            for sender in range(10):
                group.create_task(send(sender))
            for to in ("first", "last", "first", "last_turn", "last"):
                before = len(sent)

                async def more(before: int = before) -> bool:
                    return len(sent) > before + 40 and (await latest.describe()).length > 5

                await until(more, seconds=20)
                await latest.pause()
                await latest.resume()
                await latest.reset(to=to)
            stop.set()
        await latest.signal(Gathers.end)
        got = await latest.result(timeout=40)
        assert sorted(got) == sorted(sent)
        for sender in range(10):
            mine = [number for number in got if number // 1_000_000 == sender]
            assert mine == sorted(mine)
