"""Hooks end to end: in the run itself, in another one, from outside; what fails, what is missing, what ends first."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import asyncpg
import pytest

from memflow import ApplicationError, Client, Worker, activity, workflow
from memflow.client import Handle
from memflow.errors import (
    ConfigurationError,
    HookError,
    PayloadError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from tests.polling import until


@activity.defn
async def shout(text: str) -> str:
    return text.upper()


async def count(by: int) -> int:
    """Counts in the record of whatever run it is in."""
    text = await shout("counted")
    await workflow.sleep_for(0.01)
    await workflow.entity().append("log", text)
    return int(await workflow.search().incr("counter", by))


async def refuse(text: str) -> None:
    await workflow.sleep_for(0.01)
    raise ApplicationError(text, type="Refused")


async def note(text: str) -> None:
    await workflow.entity().append("log", text)


@workflow.defn
async def counting() -> list[Any]:
    await workflow.hook(count, 1)
    result = await workflow.exec_hook(count, 10)
    await workflow.wait_for("go on")
    return [result, await workflow.search().get("counter")]


@workflow.defn
async def target() -> dict[str, Any]:
    await workflow.wait_for("finish")
    return dict(await workflow.entity().get())


@workflow.defn
async def caller(workflow_id: str, by: int) -> int:
    return await workflow.exec_hook(count, by, workflow_id=workflow_id)


@workflow.defn
async def catches(workflow_id: str | None) -> list[str]:
    try:
        await workflow.exec_hook(refuse, "no", workflow_id=workflow_id)
    except HookError as error:
        cause = error.cause
        assert isinstance(cause, ApplicationError)
        return [error.hook, cause.message, str(cause.type)]
    return []


@workflow.defn
async def fires(workflow_id: str) -> str:
    try:
        return await workflow.hook(note, "from a workflow", workflow_id=workflow_id)
    except (WorkflowNotFoundError, WorkflowClosedError) as error:
        return type(error).__name__


@workflow.defn
async def batch() -> dict[str, int]:
    return await workflow.exec_hook_batch({"a": (count, 1), "b": (count, 2)})


@workflow.defn
async def failing() -> None:
    await workflow.hook(refuse, "on purpose")
    await workflow.wait_for("never")


@workflow.defn
async def recursive() -> None:
    await workflow.hook(recursive)


ALL = [counting, target, caller, catches, fires, batch, failing, recursive]


def worker_of(client: Client, **more: Any) -> Worker:
    return Worker(client, workflows=ALL, activities=[shout], **{"hooks": [count, refuse, note, tally], **more})


async def test_a_hook_is_a_second_coroutine_of_its_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(counting)
        await client.signal("go on")
        result, counter = await handle.result()
        assert counter == 11 and result in (10, 11)
        kinds = [entry.kind for entry in await handle.history()]
        assert kinds.count("start_hook") == 2 and kinds.count("schedule_activity") == 2


async def test_a_hook_from_outside_writes_the_record_first_then_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(target, id="t")
        await client.workflow.hook("t", count, 5, search={"counter": 100})
        await handle.hook("note", "by name")
        await until(lambda: _recorded(handle, counter=105))
        await client.signal("finish")
        record = await handle.result()
        assert record["counter"] == 105 and sorted(record["log"]) == ["COUNTED", "by name"]


async def test_the_result_of_a_hook_in_another_run_comes_back(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        there = await client.workflow.start(target, id="t")
        assert await client.workflow.execute(caller, "t", 3) == 3
        assert await client.workflow.execute(caller, "t", 4) == 7
        await client.signal("finish")
        assert (await there.result())["counter"] == 7


@pytest.mark.parametrize("where", [None, "t"])
async def test_the_failure_of_a_hook_reaches_who_waits_for_it(dsn: str, schema: str, where: str | None) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        there = await client.workflow.start(target, id="t")
        assert await client.workflow.execute(catches, where) == ["refuse", "no", "Refused"]
        await client.signal("finish")
        assert await there.result() == {}, "the run that the hook failed in goes on"


async def test_a_hook_that_nobody_waits_for_fails_its_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        with pytest.raises(WorkflowFailedError) as caught:
            await client.workflow.execute(failing)
        assert "on purpose" in str(caught.value)


async def test_all_of_a_batch_run_together(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        assert sorted((await client.workflow.execute(batch)).values()) in ([1, 3], [2, 3])


async def _recorded(handle: Handle[Any], **fields: Any) -> bool:
    record = (await handle.describe()).record
    return all(record.get(name) == value for name, value in fields.items())


# ------------------------------------------------------------------------------------------------- what goes wrong


async def test_a_run_that_is_missing_or_has_ended_is_told_at_the_call(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        with pytest.raises(WorkflowNotFoundError):
            await client.workflow.hook("nowhere", note, "x")
        await client.signal("finish")
        ended = await client.workflow.start(target, id="t")
        await ended.result()
        with pytest.raises(WorkflowClosedError):
            await client.workflow.hook("t", note, "x")
        assert await client.workflow.execute(fires, "nowhere") == "WorkflowNotFoundError"
        assert await client.workflow.execute(fires, "t") == "WorkflowClosedError"
        with pytest.raises(WorkflowFailedError, match="nowhere"):
            await client.workflow.execute(caller, "nowhere", 1)


async def test_bad_calls_are_refused_before_anything_is_sent(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(target, id="t")
        with pytest.raises(TypeError, match="takes 1 argument"):
            await client.workflow.hook("t", note)  # type: ignore[call-overload]
        with pytest.raises(ConfigurationError, match="async def"):
            await client.workflow.hook("t", len, "x")  # type: ignore[call-overload]
        with pytest.raises(ConfigurationError, match="hook name"):
            await handle.hook("")
        with pytest.raises(ConfigurationError, match="names are text"):
            await handle.hook(note, "x", search={"": 1})
        assert (await handle.describe()).unread == 0


async def test_a_hook_that_the_worker_does_not_know_waits_visibly_for_one_that_does(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=ALL, poll_interval=0.1):
            handle = await client.workflow.start(target, id="t")
            await handle.hook("note", "later")
            await until(lambda: _stuck(handle, "hook 'note' is not known here"))
            detail = (await handle.describe()).detail or ""
            assert "Worker(hooks=[...])" in detail and "counting" in detail
        async with worker_of(client, poll_interval=0.1):
            await until(lambda: _recorded(handle, log=["later"]), seconds=20)
            await client.signal("finish")
            assert await handle.result() == {"log": ["later"]}


async def _stuck(handle: Handle[Any], said: str) -> bool:
    detail = (await handle.describe()).detail or ""
    return detail.startswith("stuck") and said in detail


async def test_a_workflow_that_hooks_itself_is_told_so(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        with pytest.raises(WorkflowFailedError, match="workflow_id= of another run"):
            await client.workflow.execute(recursive)


async def test_a_request_id_starts_one_hook_however_often(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(target)
        for _ in range(3):
            await handle.hook(note, "once", request_id="r")
        await until(lambda: _recorded(handle, log=["once"]))
        await client.signal("finish")
        assert await handle.result() == {"log": ["once"]}


async def test_a_hook_in_the_callers_transaction(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(target)
        conn = await asyncpg.connect(dsn)
        try:
            async with conn.transaction():
                await handle.hook(note, "committed", connection=conn)
            transaction = conn.transaction()
            await transaction.start()
            await handle.hook(note, "never", connection=conn)
            await transaction.rollback()
        finally:
            await conn.close()
        await until(lambda: _recorded(handle, log=["committed"]))
        await client.signal("finish")
        assert await handle.result() == {"log": ["committed"]}


# ------------------------------------------------------------------------------------------------- ends


@workflow.defn
async def leaves_hooks() -> str:
    await workflow.hook(endless)
    await workflow.sleep_for(0.01)
    return "done"


async def endless() -> None:
    await workflow.wait_for("never")


@workflow.defn
async def waits_for_endless(workflow_id: str) -> list[str]:
    try:
        await workflow.exec_hook(endless, workflow_id=workflow_id)
    except HookError as error:
        return [error.workflow_id, str(getattr(error.cause, "type", None))]
    return []


@workflow.defn
async def cancels_a_hook() -> str:
    task = asyncio.ensure_future(workflow.exec_hook(cleans_up))
    await workflow.sleep_for(0.01)
    task.cancel()
    await asyncio.wait([task])
    return f"{task.cancelled()} {await workflow.search().get('cleaned')}"


async def cleans_up() -> None:
    try:
        await workflow.wait_for("never")
    finally:
        await workflow.search().set(cleaned="yes")


@workflow.defn
async def continues_in_a_hook(round: int) -> str:
    if round:
        return f"round {round}"
    await workflow.hook(ends_the_run)
    await workflow.wait_for("never")
    return ""


async def ends_the_run() -> None:
    workflow.continue_as_new(1)


@workflow.defn
async def by_signal() -> list[Any]:
    first = await workflow.exec_hook(answers_by_signal, "a", signal_id="answer")
    second = await workflow.exec_hook(count, 2, signal_id="from outside")
    try:
        await workflow.exec_hook(refuse, "no", signal_id="nobody sends it")
    except HookError as error:
        return [first, second, str(error.cause)]
    return []


async def answers_by_signal(text: str, reply: dict[str, str]) -> None:
    await workflow.signal(reply["signal"], [text, "signalled"])


@workflow.defn
class Adder:
    def __init__(self) -> None:
        self.total = 0

    @workflow.run
    async def run(self) -> int:
        await workflow.hook(self.add, 1)
        added = await workflow.exec_hook(self.add, 10)
        await workflow.wait_condition(lambda: self.total == 11)
        return added

    async def add(self, by: int) -> int:
        await workflow.sleep_for(0.01)
        self.total += by
        return by


@workflow.defn
class BuggyHook:
    @workflow.run
    async def run(self) -> None:
        await workflow.exec_hook(has_a_bug)


async def has_a_bug() -> None:
    raise LookupError("a bug")


ENDS = [*ALL, leaves_hooks, waits_for_endless, cancels_a_hook, continues_in_a_hook, by_signal, Adder, BuggyHook]


async def test_the_end_of_the_main_code_ends_its_hooks_and_says_so(
    dsn: str, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS):
        assert await client.workflow.execute(leaves_hooks) == "done"
    [said] = [each for each in caplog.records if "ended while hooks were running" in each.message]
    assert getattr(said, "hooks", None) == ["endless"]


@pytest.mark.parametrize("how", ["completes", "terminated"])
async def test_who_waits_for_a_hook_hears_of_the_end_of_its_run(dsn: str, schema: str, how: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS, hooks=[endless]):
        there = await client.workflow.start(target, id="t")
        waits = await client.workflow.start(waits_for_endless, "t")
        await until(lambda: _received(there))
        await (there.terminate() if how == "terminated" else client.signal("finish"))
        assert await waits.result() == ["t", "WorkflowClosedError"]


async def _received(handle: Handle[Any]) -> bool:
    return any(each.kind == "hook_received" for each in await handle.history())


async def test_cancelling_who_waits_cancels_a_hook_of_the_same_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS):
        assert await client.workflow.execute(cancels_a_hook) == "True yes"


async def test_a_hook_may_continue_its_run_as_new(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS):
        assert await client.workflow.execute(continues_in_a_hook, 0) == "round 1"


async def test_an_answer_by_signal(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS, activities=[shout]):
        await client.signal("from outside", 5)
        assert await client.workflow.execute(by_signal) == [["a", "signalled"], 5, "no"]


async def test_methods_of_a_class_workflow_are_hooks_of_its_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS):
        assert await client.workflow.execute(Adder.run) == 10


async def test_a_bug_in_a_hook_is_stuck_not_failed(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ENDS):
        handle = await client.workflow.start(BuggyHook.run)
        await until(lambda: _stuck(handle, "a bug"))
        assert await handle.status() == "running"


async def test_a_thousand_hooks_into_one_run_all_run_once(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client, max_cached_workflows=0):
        handle = await client.workflow.start(target)
        await asyncio.gather(*(handle.hook(tally) for _ in range(1000)))
        await until(lambda: _recorded(handle, tally=1000), seconds=30)
        await client.signal("finish")
        assert await handle.result() == {"tally": 1000}


async def tally() -> None:
    await workflow.search().incr("tally")


# ------------------------------------------------------------------------------------------------- races


@workflow.defn
async def short_lived(seconds: float) -> str:
    await workflow.sleep_for(seconds)
    return "done"


@workflow.defn
async def restless(round: int) -> str:
    await workflow.sleep_for(0.1)
    if round < 8:
        workflow.continue_as_new(round + 1)
    return "done"


async def brief(number: int) -> int:
    await workflow.sleep_for(0.005 * (number % 4))
    return number


@workflow.defn
async def tries(workflow_id: str, number: int) -> str:
    try:
        assert await workflow.exec_hook(brief, number, workflow_id=workflow_id) == number
    except (HookError, WorkflowClosedError, WorkflowNotFoundError) as error:
        return type(error).__name__
    return "answered"


async def test_whoever_waits_for_a_hook_is_told_whenever_the_other_run_ends(dsn: str, schema: str) -> None:
    """Hooks into runs that end, are terminated, or continue as new at any moment: nobody is left waiting."""
    workflows = [short_lived, restless, tries]
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=workflows, hooks=[brief], poll_interval=0.1),
        Worker(client, workflows=workflows, hooks=[brief], poll_interval=0.1, max_cached_workflows=0),
    ):
        targets = await asyncio.gather(
            *(client.workflow.start(short_lived, 0.2 + n / 50, id=f"t{n}") for n in range(0, 30, 3)),
            *(client.workflow.start(restless, 0, id=f"t{n}") for n in range(30) if n % 3),
        )
        callers = []
        for batch in range(12):
            callers += await asyncio.gather(*(client.workflow.start(tries, f"t{n}", n) for n in range(batch % 2, 30, 2)))
        for each in targets[::5]:
            with contextlib.suppress(WorkflowClosedError):
                await each.terminate()
        said = Counter(await asyncio.gather(*(each.result(timeout=60) for each in callers)))
        assert said["answered"] and len(said) > 1, said
        conn = await asyncpg.connect(dsn)
        try:
            left = await conn.fetchval(f'select count(*) from "{schema}".hooks')
        finally:
            await conn.close()
        assert left == 0


async def test_fields_that_cannot_be_written_are_refused_or_dropped_and_nothing_is_stuck(
    dsn: str, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(target, id="t")
        with pytest.raises(PayloadError, match="NUL"):
            await handle.hook(note, "x", search={"a": "\0"})
        for _ in range(3):
            await handle.hook("note", "large", search={f"n{_}": "x" * 400_000})
        await until(lambda: _recorded(handle, log=["large", "large"]))
        await client.signal("finish")
        assert (await handle.result())["log"] == ["large", "large"], "the third would have made the record too large"
        assert "a hook was dropped" in caplog.text


@workflow.defn
async def by_name() -> int:
    return int(await workflow.exec_hook("brief", 7))


async def test_a_name_that_the_worker_does_not_know_fails_nothing(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[by_name], poll_interval=0.1):
            handle = await client.workflow.start(by_name)
            await until(lambda: _stuck(handle, "hook 'brief' is not known here"))
        async with Worker(client, workflows=[by_name], hooks=[brief], poll_interval=0.1):
            assert await handle.result(timeout=20) == 7
