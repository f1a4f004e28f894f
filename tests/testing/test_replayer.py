"""`Replayer`: exported journals against today's code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from memflow import ApplicationError, activity, workflow
from memflow.errors import ConfigurationError, NondeterminismError, WorkflowFailedError
from memflow_testing import Replayer, WorkflowEnvironment, WorkflowHistory


@activity.defn
async def reserve(item: str, data: bytes) -> bytes:
    return data


@workflow.defn(name="order")
async def order(item: str) -> str:
    await workflow.sleep_for("30 days")
    got = await reserve(item, b"\x00\xff")
    await workflow.enrich({"item": item})
    child = await workflow.execute_child(part, item)
    return f"{got!r} {child} {workflow.uuid4()}"


@workflow.defn(name="part")
async def part(item: str) -> str:
    if item == "bad":
        raise ApplicationError("bad part", type="Bad")
    return workflow.memo().get("colour", "none") if workflow.memo() else "none"


@workflow.defn(name="order")
async def order_changed(item: str) -> str:
    await reserve(item, b"")
    return ""


@workflow.defn(name="order")
async def order_broken(item: str) -> str:
    raise LookupError("new bug")


@pytest.fixture
async def history(dsn: str) -> WorkflowHistory:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(order, part, activities=[reserve]):
            handle = await env.client.workflow.start(
                order, "item-1", task_queue=env.task_queue, memo={"colour": "red"}, headers={"a": "b"}, search={"x": 1}
            )
            await handle.result()
        return await handle.history()


async def test_a_history_survives_its_json(history: WorkflowHistory) -> None:
    again = WorkflowHistory.from_json(history.to_json())
    assert again.journal == history.journal
    assert again.info == history.info
    assert again.status == "completed"
    assert list(again) == list(history)
    assert [entry.seq for entry in again] == list(range(1, len(history) + 1))


async def test_the_same_code_replays_from_a_list_or_from_json(history: WorkflowHistory) -> None:
    replayer = Replayer(workflows=[order, part])
    for form in (history, history.to_json(), json.loads(history.to_json())):
        assert (await replayer.replay_workflow(form)).replay_failure is None


async def test_changed_code_is_found_out_with_both_sides(history: WorkflowHistory) -> None:
    with pytest.raises(NondeterminismError) as found:
        await Replayer(workflows=[order_changed]).replay_workflow(history)
    said = str(found.value)
    assert "journal:" in said and "code now:" in said and "test_replayer.py" in said and "to fix" in said
    result = await Replayer(workflows=[order_changed]).replay_workflow(history, raise_on_replay_failure=False)
    assert isinstance(result.replay_failure, NondeterminismError)


async def test_code_that_fails_now_is_found_out(history: WorkflowHistory) -> None:
    with pytest.raises(NondeterminismError, match="the code now fails where it went on before"):
        await Replayer(workflows=[order_broken]).replay_workflow(history)


async def test_many_histories_give_failures_by_run(history: WorkflowHistory) -> None:
    async def stream() -> AsyncIterator[str]:
        yield history.to_json()

    results = await Replayer(workflows=[order_changed]).replay_workflows(stream(), raise_on_replay_failure=False)
    assert list(results.replay_failures) == [history.run_id]
    assert not (await Replayer(workflows=[order]).replay_workflows([history, history])).replay_failures
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[order_changed]).replay_workflows([history])


async def test_a_run_that_failed_replays_well(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(part):
            handle = await env.client.workflow.start(part, "bad", task_queue=env.task_queue)
            with pytest.raises(WorkflowFailedError):
                await handle.result()
            history = await handle.history()
    assert history.status == "failed"
    assert (await Replayer(workflows=[part]).replay_workflow(history.to_json())).replay_failure is None


async def test_an_open_run_replays_up_to_where_it_is(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(order, part, activities=[reserve]):
            handle = await env.client.workflow.start(order, "x", task_queue=env.task_queue)
            await env.sleep(timedelta(days=1))
            history = await handle.history()
            await handle.terminate()
    assert history.status == "running"
    assert (await Replayer(workflows=[order]).replay_workflow(history)).replay_failure is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no `memflow` and `entries`"),
        ('{"memflow": 99, "entries": []}', "reads up to 1; upgrade"),
        ('{"memflow": 1, "entries": []}', "KeyError"),
    ],
)
async def test_what_is_no_export_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await Replayer(workflows=[order]).replay_workflow(text)


async def test_wrong_uses_are_refused(history: WorkflowHistory) -> None:
    with pytest.raises(ConfigurationError, match="list the workflows"):
        Replayer(workflows=[])
    with pytest.raises(ConfigurationError, match="of workflow 'order', which is not listed; listed: part"):
        await Replayer(workflows=[part]).replay_workflow(history)
    with pytest.raises(ConfigurationError, match="this is int"):
        await Replayer(workflows=[part]).replay_workflow(5)  # type: ignore[arg-type]


@workflow.defn(name="draws")
async def draws() -> list[str]:
    found = [str(workflow.uuid4())]
    for name in ("first", "second", "third"):
        await workflow.wait_for(name)
        found.append(await workflow.execute_child(part, f"{name} {workflow.uuid4()}"))
        await workflow.enrich({"seen": workflow.info().workflow_id})
    return found


async def test_reset_and_forked_runs_replay_by_whose_turns_they_copied(dsn: str) -> None:
    """Ids and chance of copied turns come from the runs that wrote them; an export that forgot them did not replay."""
    async with (
        await WorkflowEnvironment.start_time_skipping(dsn) as env,
        env.worker(draws, part),
    ):
        old = await env.client.workflow.start(draws, id="d", task_queue=env.task_queue)
        await old.signal("first")
        while "child_completed" not in [entry.kind for entry in await old.history()]:
            await env.sleep(1)
        fork = await old.fork(from_="last", id="fork")
        await fork.signal("second")
        while [entry.kind for entry in await fork.history()].count("child_completed") < 2:
            await env.sleep(1)
        reset = await fork.reset(to="last")
        for each in (old, reset):
            await each.signal("second")
            await each.signal("third")
            await each.result()
        replayer = Replayer(workflows=[draws, part])
        for each in (old, fork, reset):
            history = await each.history()
            text = history.to_json()
            assert ("origins" in json.loads(text)) == (each.id != "d")
            assert (await replayer.replay_workflow(text)).replay_failure is None
            assert (await replayer.replay_workflow(history)).replay_failure is None
        plain = json.loads((await reset.history()).to_json())
        assert [len(plain["origins"]), plain["origins"][0][1]] == [2, "d"]
        del plain["origins"]
        assert (await replayer.replay_workflow(plain, raise_on_replay_failure=False)).replay_failure is not None
