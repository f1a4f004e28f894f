"""Runs whose journal their code does not fit: parked, or failed where the program says that such a workflow fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from memflow import Client as EngineClient
from memflow.store.turns import TurnCommit
from memflow.temporal import workflow
from memflow.temporal.api.enums.v1 import WorkflowTaskFailedCause
from memflow.temporal.client import Client, RPCError, WorkflowFailureError, WorkflowHandle
from memflow.temporal.common import RawValue
from memflow.temporal.exceptions import ApplicationError
from memflow.temporal.worker import Worker
from tests.polling import until


class Changing:
    """Sleeps at first, and has no longer slept when it is rebuilt."""

    def __init__(self) -> None:
        self.told = 0

    async def nap(self) -> None:
        if not workflow.unsafe.is_replaying():
            await asyncio.sleep(0.01)

    @workflow.signal
    async def tell(self) -> None:
        self.told += 1
        await self.nap()

    @workflow.update
    async def ask(self) -> None:
        await self.nap()


@workflow.defn
class Parked(Changing):
    @workflow.run
    async def run(self, at_once: bool) -> None:
        await (self.nap() if at_once else workflow.wait_condition(lambda: False))


@workflow.defn(failure_exception_types=[workflow.NondeterminismError])
class Failed(Changing):
    @workflow.run
    async def run(self, at_once: bool) -> None:
        await (self.nap() if at_once else workflow.wait_condition(lambda: False))


async def set_off(client: Client, queue: str, kind: type[Any], how: str) -> WorkflowHandle[Any, Any]:
    handle = await client.start_workflow(kind.run, how == "run", id=f"{kind.__name__} {how}", task_queue=queue)
    if how == "signal":
        await handle.signal(kind.tell)
    return handle


@pytest.mark.parametrize("how", ["run", "signal"])
async def test_an_unfit_run_is_parked_and_says_so_in_its_history(client: Client, queue: str, how: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Parked], max_cached_workflows=0):
        handle = await set_off(client, queue, Parked, how)
        said: list[Any] = []

        async def is_parked() -> bool:
            said[:] = [
                event.workflow_task_failed_event_attributes
                async for event in handle.fetch_history_events()
                if event.HasField("workflow_task_failed_event_attributes")
            ]
            return bool(said)

        await until(is_parked)
        assert said[-1].failure.message.startswith("[TMPRL1100] Nondeterminism error: run ")
        assert said[-1].cause is WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR


@pytest.mark.parametrize("by_worker", [False, True])
@pytest.mark.parametrize("how", ["run", "signal"])
async def test_an_unfit_run_fails_where_the_program_wants_that(client: Client, queue: str, how: str, by_worker: bool) -> None:
    kind = Parked if by_worker else Failed
    types = [Exception] if by_worker else []
    async with Worker(
        client, task_queue=queue, workflows=[kind], max_cached_workflows=0, workflow_failure_exception_types=types
    ):
        handle = await set_off(client, queue, kind, how)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "NondeterminismError"
    assert cause.message.startswith("[TMPRL1100] Nondeterminism error: run ")
    # It has ended like any other: nobody can speak to it, and its id is free.
    with pytest.raises(RPCError, match="already completed"):
        await handle.signal(Changing.tell)


async def test_mail_that_comes_while_an_unfit_run_ends_does_not_keep_it(
    client: Client, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await set_off(client, queue, Failed, "signal")
    engine: EngineClient = await client.engine()
    store = engine.store
    commit = store.commit_turns
    ends: list[str] = []

    async def late(worker: int, turns: list[TurnCommit]) -> Any:
        if any(each.status.value == "failed" for each in turns) and not ends:
            await handle.signal(Failed.tell)     # after the claim, before the end
        answers = await commit(worker, turns)
        ends.extend(each.outcome for each, turn in zip(answers, turns, strict=True) if turn.status.value == "failed")
        return answers

    monkeypatch.setattr(store, "commit_turns", late)
    async with Worker(client, task_queue=queue, workflows=[Failed], max_cached_workflows=0):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert ends == ["unread", "won"]


# ------------------------------------------------------------------------------------------------- what a run itself says


class Odd(Exception):
    """What some workflows may fail by."""


@workflow.defn(dynamic=True)
class Dynamic:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        raise Odd(workflow.info().workflow_type)

    @workflow.dynamic_config
    def config(self) -> workflow.DynamicWorkflowConfig:
        lenient = workflow.info().workflow_type == "lenient"
        return workflow.DynamicWorkflowConfig(failure_exception_types=[Odd] if lenient else [])


async def test_a_run_says_by_what_it_may_fail(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Dynamic]):
        strict = await client.start_workflow("strict", id="strict", task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow("lenient", id="lenient", task_queue=queue)
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == "Odd"

        async def is_parked() -> bool:
            return any([each.HasField("workflow_task_failed_event_attributes") async for each in strict.fetch_history_events()])

        await until(is_parked)
