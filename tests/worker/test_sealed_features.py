"""Payload codecs and what else stores payloads: schedules, hooks, escalations, resets and forks, activities from outside."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, activity, workflow
from memflow.client import Escalation
from memflow.core.interrupts import StartChild
from memflow.errors import ActivityError, ConfigurationError, HookError, PayloadError, WorkflowNotFoundError
from tests.polling import until
from tests.worker.test_sealed import SECRET, dump, encryption

FAR = "0 0 1 1 *"
"""A spec that is not due while a test runs (but on New Year's Eve)."""

TOKENS: list[bytes] = []
OTHER: dict[str, Any] = {}
"""How to connect once more."""

AGAIN = RetryPolicy(initial_interval=0.01, maximum_attempts=2)


@activity.defn
async def echo(text: str) -> str:
    return f"{text} echoed"


@activity.defn(retry=AGAIN)
async def refuses(text: str) -> str:
    raise ApplicationError(f"no: {text}", {"why": text}, type="No")


@activity.defn(retry=AGAIN)
async def asks_somebody(text: str) -> str:
    TOKENS.append(activity.info().task_token)
    if activity.info().heartbeat_details:
        return f"{activity.info().heartbeat_details[0]}"
    activity.raise_complete_async()


async def remind(text: str) -> str:
    await workflow.sleep_for(0.01)
    return f"{await echo(text)} in {workflow.info().workflow_id}"


async def break_it(text: str) -> None:
    raise ApplicationError(f"broken: {text}")


@workflow.defn
async def hooked() -> str:
    return str(await workflow.wait_for("unhook", type=str))


@workflow.defn
async def hooks(other: str, text: str) -> list[str]:
    found = [await workflow.exec_hook(remind, text), await workflow.exec_hook(remind, text, workflow_id=other)]
    try:
        await workflow.exec_hook(break_it, text, workflow_id=other)
    except HookError as error:
        found.append(str(error.__cause__))
    await workflow.hook(remind, text, workflow_id=other)
    return found


@workflow.defn
async def asks(signal_id: str, text: str) -> Any:
    about = workflow.Escalation(role="manager", metadata={"order": "shown"}, description="to be decided")
    return [text, await workflow.wait_for(signal_id, type=str, timeout="1 hour", escalation=about)]


@workflow.defn
async def in_memory(text: str) -> list[str]:
    found = [await workflow.execute_local_activity(echo, text)]
    try:
        await workflow.execute_local_activity(refuses, text)
    except ActivityError as error:
        found.append(str(error.__cause__))
    return found


@workflow.defn
async def outside(text: str) -> str:
    return str(await workflow.execute_activity(asks_somebody, text, activity_id="q"))


@workflow.defn
async def grandchild(text: str) -> str:
    return f"{text} below"


@workflow.defn
async def failing_child(text: str) -> str:
    raise ApplicationError(f"child failed: {text}")


@workflow.defn
class Branching:
    """Every kind of entry that a reset copies or delivers again."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @workflow.run
    async def run(self, text: str) -> list[Any]:
        found: list[Any] = [await echo(text), await workflow.execute_child(grandchild, text)]
        workflow.upsert_memo({"later": text})
        await workflow.wait_condition(lambda: len(self.notes) >= 1)
        try:
            await workflow.execute_child(failing_child, text)
        except Exception as error:
            found.append(str(error.__cause__))
        found.append(await workflow.wait_for("go", type=str))
        return [*found, *self.notes, workflow.memo()["given"]]

    @workflow.signal
    async def note(self, text: str) -> None:
        self.notes.append(text)

    @workflow.update
    async def add(self, text: str) -> str:
        self.notes.append(text)
        return f"{text} added"

    @workflow.query
    def all(self) -> list[str]:
        return self.notes


@workflow.defn
async def counts(text: str) -> list[Any]:
    failure = workflow.get_last_failure()
    before = workflow.get_last_completion_result(list[Any])
    if before is not None and failure is None:
        raise ApplicationError(f"failed: {text}", non_retryable=True)
    await workflow.wait_for(f"end {workflow.info().workflow_id}")
    return [text, before, str(failure), dict(workflow.memo())]


ALL = [hooked, hooks, asks, in_memory, outside, grandchild, failing_child, Branching, counts]


def worker_of(client: Client) -> Worker:
    return Worker(
        client,
        task_queue="sealed",
        workflows=ALL,
        activities=[echo, refuses, asks_somebody],
        hooks=[remind, break_it],
        trace_sinks=[],
        poll_interval=0.2,
    )


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    TOKENS.clear()
    OTHER.update(dsn=dsn, schema=schema, codec=encryption())
    async with Client.connect(**OTHER) as client:
        yield client
    tables = await dump(dsn, schema)
    assert [name for name, data in tables.items() if SECRET.encode() in data] == []


async def until_true(fn: Callable[[], Awaitable[bool]]) -> None:
    await until(fn, seconds=30)


async def waits(client: Client, id: str, text: str) -> None:
    async def does() -> bool:
        return text in str((await client.get_handle(id).describe()).detail)

    await until_true(does)


async def test_hooks(client: Client) -> None:
    async with worker_of(client):
        other = await client.workflow.start(hooked, id="other", task_queue="sealed")
        found = await client.workflow.execute(hooks, "other", SECRET, id="caller", task_queue="sealed")
        assert found == [f"{SECRET} echoed in caller", f"{SECRET} echoed in other", f"broken: {SECRET}"]
        await other.hook(remind, SECRET, search={"shown": "clear"})

        async def is_shown() -> bool:
            return (await other.describe()).record.get("shown") == "clear"

        await until_true(is_shown)
        await client.signal("unhook", SECRET)
        assert await other.result(timeout=30) == SECRET


@workflow.defn
async def sends(other: str, text: str) -> list[str]:
    found = await workflow.exec_hook(remind, text, workflow_id=other)
    return [found, await workflow.wait_for("on", type=str)]


async def test_resets_over_hooks(client: Client) -> None:
    async with Worker(client, task_queue="sealed", workflows=[hooked, sends], activities=[echo], hooks=[remind]):
        other = await client.workflow.start(hooked, id="other", task_queue="sealed")
        caller = await client.workflow.start(sends, "other", SECRET, id="caller", task_queue="sealed")
        await waits(client, "caller", "'on'")
        caller = await caller.reset("op:1")              # its answer has come by now, and is handed over
        await waits(client, "caller", "'on'")
        other = await other.reset("first")               # runs the hook again, which nobody waits for
        await waits(client, "other", "unhook")
        await client.signal("on", SECRET)
        await client.signal("unhook", SECRET)
        assert await caller.result(timeout=30) == [f"{SECRET} echoed in other", SECRET]
        assert await other.result(timeout=30) == SECRET


async def test_what_escalations_are_resolved_with(client: Client) -> None:
    async def pending(signal_id: str) -> Escalation:
        async def is_there() -> bool:
            return await client.escalations.count(status="pending", signal_id=signal_id) > 0

        await until_true(is_there)
        [found] = await client.escalations.list(signal_id=signal_id)
        return found

    async with worker_of(client):
        first = await client.workflow.start(asks, "by-a-person", SECRET, task_queue="sealed")
        row = await pending("by-a-person")
        assert (row.metadata, row.description) == ({"order": "shown"}, "to be decided")
        resolved = await client.escalations.resolve(row.id, f"yes {SECRET}")
        assert resolved.payload == f"yes {SECRET}"
        assert await first.result(timeout=30) == [SECRET, f"yes {SECRET}"]
        second = await client.workflow.start(asks, "by-a-signal", SECRET, task_queue="sealed")
        row = await pending("by-a-signal")
        await client.signal("by-a-signal", f"no {SECRET}")
        assert await second.result(timeout=30) == [SECRET, f"no {SECRET}"]
        assert (await client.escalations.get(row.id)).payload == f"no {SECRET}"
    alone = await client.escalations.create(role="manager")
    assert (await client.escalations.resolve(alone.id, {"text": SECRET})).payload == {"text": SECRET}
    assert {str(each.payload) for each in await client.escalations.list()} >= {f"yes {SECRET}", f"no {SECRET}"}


async def test_local_and_standalone_activities(client: Client) -> None:
    async with worker_of(client):
        assert await client.workflow.execute(in_memory, SECRET, task_queue="sealed") == [f"{SECRET} echoed", f"no: {SECRET}"]
        handle = await client.activity.start(echo, SECRET, id="alone", task_queue="sealed", memo={"of": SECRET})
        assert await handle.result(timeout=30) == f"{SECRET} echoed"
        described = await handle.describe()
        assert (described.arguments, described.memo, described.result) == ([SECRET], {"of": SECRET}, f"{SECRET} echoed")
        with pytest.raises(ActivityError) as failed:
            await client.activity.execute(refuses, SECRET, task_queue="sealed")
        assert SECRET in str(failed.value.__cause__)


async def test_activities_that_are_ended_from_outside(client: Client) -> None:
    async def token() -> bytes:
        async def there_is_one() -> bool:
            return bool(TOKENS)

        await until_true(there_is_one)
        return TOKENS.pop(0)

    async with worker_of(client):
        completed = await client.workflow.start(outside, SECRET, id="completed", task_queue="sealed")
        attempt = client.get_activity_handle(await token())
        await attempt.heartbeat(f"half way {SECRET}")
        [shown] = (await completed.describe()).activities
        assert shown.heartbeat_details == (f"half way {SECRET}",)
        await attempt.complete(f"from outside {SECRET}")
        assert await completed.result(timeout=30) == f"from outside {SECRET}"

        retried = await client.workflow.start(outside, SECRET, id="retried", task_queue="sealed")
        attempt = client.get_activity_handle(await token())
        await attempt.fail(ApplicationError(f"once more {SECRET}"), last_heartbeat_details=[f"kept {SECRET}"])
        assert await retried.result(timeout=30) == f"kept {SECRET}"

        cancelled = await client.workflow.start(outside, SECRET, id="failed", task_queue="sealed")
        TOKENS.clear()
        attempt = client.get_activity_handle(workflow_id="failed", activity_id="q")
        await attempt.fail(ApplicationError(f"never {SECRET}", non_retryable=True))
        with pytest.raises(Exception, match="activity") as failed:
            await cancelled.result(timeout=30)
        assert SECRET in f"{failed.value.__cause__} {failed.value.__cause__.__cause__ if failed.value.__cause__ else ''}"


@pytest.mark.parametrize("how", ["reset", "reset at op:2", "reset at op:4", "fork", "fork at op:4", "fork of a fork"])
async def test_runs_that_begin_with_a_copied_journal(client: Client, how: str) -> None:
    async with worker_of(client):
        first = await client.workflow.start(Branching.run, SECRET, id="b", task_queue="sealed", memo={"given": SECRET})
        await first.signal(Branching.note, f"one {SECRET}")
        assert await first.update(Branching.add, f"two {SECRET}") == f"two {SECRET} added"
        await waits(client, "b", "'go'")
        children = [each.entry.op for each in await first.history() if isinstance(each.entry, StartChild)]
        assert children == [2, 4], "one that completed, one that failed"
        if how.startswith("reset"):
            again, id = await first.reset(how.removeprefix("reset at ") if " at " in how else "first"), "b"
        elif how == "fork at op:4":
            again, id = await first.fork("op:4", id="c", reapply=True), "c"
        elif how == "fork":
            again, id = await first.fork("last", id="c", reapply=True), "c"
        else:
            between = await first.fork("last", id="c", reapply=True)
            await waits(client, "c", "'go'")
            await between.signal(Branching.note, f"three {SECRET}")
            await until_true(lambda: _has(between, "three"))
            again, id = await between.fork("first", id="d", reapply=True), "d"
            await until_true(lambda: _has(again, "three"))
        await waits(client, id, "'go'")
        assert f"one {SECRET}" in await again.query(Branching.all)
        for other in {"b", "c"} - {id}:
            with suppress(WorkflowNotFoundError):
                await client.get_handle(other).terminate()
    async with worker_of(client):                        # from its rows
        await client.signal("go", f"go {SECRET}")
        result = await again.result(timeout=30)
        assert result[:4] == [f"{SECRET} echoed", f"{SECRET} below", f"child failed: {SECRET}", f"go {SECRET}"]
        assert {f"one {SECRET}", f"two {SECRET}"} <= set(result) and result[-1] == SECRET
        described = await again.describe()
        assert described.arguments == [SECRET] and described.memo == {"given": SECRET, "later": SECRET}
        assert SECRET in (await again.history()).to_json()


async def _has(handle: Any, text: str) -> bool:
    return any(text in each for each in await handle.query(Branching.all))


@workflow.defn
async def second_time(text: str) -> list[Any]:
    await workflow.wait_for("try")
    if workflow.info().attempt < 2:
        raise ApplicationError("again")
    return [text, dict(workflow.memo())]


async def test_a_fork_that_is_tried_again_reads_what_the_copied_run_was_given(client: Client) -> None:
    async with Worker(client, task_queue="sealed", workflows=[second_time]):
        first = await client.workflow.start(
            second_time, SECRET, id="first", task_queue="sealed", memo={"of": SECRET}, retry=AGAIN
        )
        await waits(client, "first", "try")
        fork = await first.fork("last", id="fork")
        await waits(client, "fork", "try")
        await first.terminate()
        await client.signal("try", None)
        await client.signal("try", None)                 # kept for the second attempt
        assert await fork.result(timeout=30) == [SECRET, {"of": SECRET}]
        latest = client.get_handle("fork")
        assert (await latest.describe()).arguments == [SECRET] and (await latest.describe()).memo == {"of": SECRET}
    async with Client.connect(**OTHER) as other:
        assert (await other.get_handle("fork").describe()).arguments == [SECRET]
        assert [run.memo async for run in other.workflow.list('id = "fork"')] == [{"of": SECRET}] * 2


async def test_schedules(client: Client) -> None:
    handle = await client.schedule.create(
        "s", counts, "old", spec=FAR, task_queue="sealed", memo={"of": "old"}, overlap="allow_all"
    )
    await handle.update(args=[SECRET])
    await client.schedule.create_or_update(
        "s", counts, SECRET, spec=FAR, task_queue="sealed", memo={"of": SECRET}, overlap="allow_all"
    )
    assert (await handle.describe()).arguments == [SECRET]
    assert [each.arguments async for each in client.schedule.list()] == [[SECRET]]
    await handle.update(lambda now: {"args": [f"{now.arguments[0]}!"]})
    async with worker_of(client):
        run = client.get_handle(await fire(handle, 1))
        await client.signal(f"end {run.id}", None)
        first = [f"{SECRET}!", None, "None", {"of": SECRET}]
        assert await run.result(timeout=30) == first
        assert (await run.describe()).arguments == [f"{SECRET}!"]
        await ended(handle)
        run = client.get_handle(await fire(handle, 2))
        with pytest.raises(Exception, match="failed"):
            await run.result(timeout=30)
        await ended(handle)
        third = await fire(handle, 3)
        await waits(client, third, "end ")
    async with worker_of(client):                        # from its rows
        run = client.get_handle(third)
        assert SECRET in (await run.history()).to_json()
        forked = await run.fork("last", id="forked")
        await waits(client, "forked", "end ")
        for _ in range(2):                               # the fork has copied its wait
            await client.signal(f"end {third}", None)
        assert await run.result(timeout=30) == [f"{SECRET}!", first, f"failed: {SECRET}!", {"of": SECRET}]
        assert await forked.result(timeout=30) == [f"{SECRET}!", first, f"failed: {SECRET}!", {"of": SECRET}]


async def fire(handle: Any, count: int) -> str:
    """The workflow id of one more run."""
    await handle.trigger()

    async def done() -> bool:
        return (await handle.describe()).actions >= count

    await until_true(done)
    return str((await handle.describe()).recent[-1].workflow_id)


async def ended(handle: Any) -> None:
    """Until the schedule knows that its run has ended."""

    async def none() -> bool:
        row = await handle._link.store.find_schedule("s")
        return not row.state.running

    await until_true(none)


async def test_who_lacks_the_key_sees_that_and_breaks_nothing(client: Client) -> None:
    schedule = await client.schedule.create("s", hooked, args=[], spec=FAR, task_queue="sealed", memo={"of": SECRET})
    alone = await client.escalations.create(role="manager")
    await client.escalations.resolve(alone.id, SECRET)
    done = await client.activity.start(echo, SECRET, id="alone", task_queue="sealed")
    waiting = await client.workflow.start(outside, SECRET, id="outside", task_queue="sealed")
    async with worker_of(client):
        await done.result(timeout=30)
        await waits(client, "outside", "asks_somebody")
        without: dict[str, Any] = {**OTHER, "codec": None}
        async with Client.connect(**without) as plain:
            seen = plain.schedule.get_handle("s")
            assert "unreadable" in str((await seen.describe()).memo)
            assert [each.id async for each in plain.schedule.list()] == ["s"]
            await seen.pause(note="for now")
            with pytest.raises(PayloadError, match="not one of this codec"):
                await seen.update(lambda now: {"args": now.arguments})
            assert "unreadable" in str([each.payload for each in await plain.escalations.list()])
            assert "unreadable" in str((await plain.activity.get_handle("alone").describe()).arguments)
            with pytest.raises(PayloadError, match="'asks_somebody' would be run anew, and its arguments cannot be read here"):
                await plain.get_handle("outside").reset("last")
        described = await schedule.describe()
        assert (described.memo, described.arguments, described.paused) == ({"of": SECRET}, [], True)
        await client.get_activity_handle(workflow_id="outside", activity_id="q").complete("fine")
        assert await waiting.result(timeout=30) == "fine"


async def test_changes_of_a_schedule_that_race_are_all_made(client: Client) -> None:
    handle = await client.schedule.create("s", counts, SECRET, spec=FAR, task_queue="sealed")
    await asyncio.gather(*(handle.update(lambda now: {"args": [f"{now.arguments[0]}."]}) for _ in range(5)))
    assert (await handle.describe()).arguments == [f"{SECRET}....."]
    drawn = itertools.count()
    with pytest.raises(ConfigurationError, match="gives other arguments each time it is called"):
        await handle.update(lambda now: {"args": [f"{SECRET} {next(drawn)}"]})
    assert (await handle.describe()).arguments == [f"{SECRET}....."]
