"""Patterns that programs for Temporal are made of, written anew and run on Postgres."""

from __future__ import annotations

import asyncio
import builtins
import functools
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.client import (
    Client,
    RPCError,
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowHandle,
)
from memflow.temporal.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from memflow.temporal.exceptions import ActivityError, ApplicationError, TimeoutError, WorkflowAlreadyStartedError
from memflow.temporal.worker import SharedStateManager, UnsandboxedWorkflowRunner, Worker
from memflow.temporal.worker.workflow_sandbox import (
    RestrictedWorkflowAccessError,
    SandboxedWorkflowRunner,
    SandboxRestrictions,
)
from tests.polling import until

SOON = timedelta(seconds=30)
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

# ------------------------------------------------------------------------------------------------- left open

tokens: list[bytes] = []


@activity.defn
async def ask_a_person(question: str) -> str:
    tokens.append(activity.info().task_token)
    activity.raise_complete_async()


@workflow.defn
class Asking:
    @workflow.run
    async def run(self, question: str) -> str:
        return await workflow.execute_activity(
            ask_a_person,
            question,
            activity_id="ask",
            start_to_close_timeout=SOON,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_an_activity_is_completed_from_outside(client: Client, queue: str) -> None:
    tokens.clear()

    async def asked(times: int) -> bool:
        return len(tokens) == times

    async with Worker(client, task_queue=queue, workflows=[Asking], activities=[ask_a_person]):
        first = await client.start_workflow(Asking.run, "why?", id="asking", task_queue=queue)
        await until(functools.partial(asked, 1))
        by_token = client.get_async_activity_handle(task_token=tokens[0])
        await by_token.heartbeat("thinking")
        await by_token.complete("because")
        assert await first.result() == "because"
        with pytest.raises(RPCError) as late:
            await by_token.complete("again")
        assert late.value.status.name == "NOT_FOUND"

        second = await client.start_workflow(Asking.run, "when?", id="asking-2", task_queue=queue)
        await until(functools.partial(asked, 2))
        by_id = client.get_async_activity_handle(workflow_id="asking-2", run_id=None, activity_id="ask")
        await by_id.fail(ApplicationError("never", type="Never"))
        with pytest.raises(WorkflowFailureError) as failed:
            await second.result()
        assert isinstance(failed.value.cause, ActivityError)
        assert isinstance(failed.value.cause.cause, ApplicationError)
        assert failed.value.cause.cause.type == "Never"


# ------------------------------------------------------------------------------------------------- another process


@activity.defn
def in_another_process(parent: int) -> list[Any]:
    assert os.getpid() != parent
    for number in range(3):
        activity.heartbeat(number)
    return [activity.info().activity_type, os.getpid() != parent]


@workflow.defn
class Processes:
    @workflow.run
    async def run(self, parent: int) -> list[Any]:
        return await workflow.execute_activity(
            in_another_process, parent, start_to_close_timeout=SOON, heartbeat_timeout=SOON
        )


async def test_an_activity_runs_in_another_process(client: Client, queue: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(1, mp_context=context) as executor:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Processes],
            activities=[in_another_process],
            activity_executor=executor,
            shared_state_manager=SharedStateManager.create_from_multiprocessing(manager),
        ):
            result = await client.execute_workflow(Processes.run, os.getpid(), id="processes", task_queue=queue)
    assert result == ["in_another_process", True]


# ------------------------------------------------------------------------------------------------- polling


@activity.defn
async def poll_once(wanted: int) -> str:
    seen = activity.info().attempt
    if seen < wanted:
        raise ApplicationError(f"not yet: {seen}", next_retry_delay=timedelta(milliseconds=1))
    return f"ready at {seen}"


def beating(fn: F) -> F:
    """A decorator that heartbeats by itself while the activity runs."""

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        timeout = activity.info().heartbeat_timeout
        beat = asyncio.create_task(_beat(timeout.total_seconds() / 3)) if timeout else None
        try:
            return await fn(*args, **kwargs)
        finally:
            if beat:
                beat.cancel()
                await asyncio.wait([beat])

    return cast("F", wrapper)


async def _beat(seconds: float) -> None:
    while True:
        activity.heartbeat("alive")
        await asyncio.sleep(seconds)


@activity.defn
@beating
async def slow_but_alive(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@activity.defn
async def resumes(stop_at: int) -> list[int]:
    details = activity.info().heartbeat_details
    start = details[0] if details else 0
    done = []
    for number in range(start, 6):
        done.append(number)
        activity.heartbeat(number + 1)
        await asyncio.sleep(0.01)
        if number == stop_at and activity.info().attempt == 1:
            raise RuntimeError("lost my place")
    return done


@workflow.defn
class Polling:
    @workflow.run
    async def run(self) -> list[Any]:
        quick = RetryPolicy(initial_interval=timedelta(milliseconds=1))
        return [
            await workflow.execute_activity(
                poll_once, 4, start_to_close_timeout=SOON, retry_policy=RetryPolicy(initial_interval=SOON)
            ),
            await workflow.execute_activity(
                slow_but_alive, 0.9, start_to_close_timeout=SOON, heartbeat_timeout=timedelta(seconds=0.6)
            ),
            await workflow.execute_activity(
                resumes, 2, start_to_close_timeout=SOON, heartbeat_timeout=SOON, retry_policy=quick
            ),
        ]


async def test_polling_retries_heartbeats_and_resumes(client: Client, queue: str) -> None:
    async with Worker(
        client, task_queue=queue, workflows=[Polling], activities=[poll_once, slow_but_alive, resumes]
    ):
        result = await client.execute_workflow(Polling.run, id="polling", task_queue=queue)
    assert result == ["ready at 4", "done", [3, 4, 5]]


# ------------------------------------------------------------------------------------------------- an updatable timer


class UpdatableTimer:
    def __init__(self, wake_up: datetime) -> None:
        self.wake_up = wake_up
        self.changed = False

    async def sleep(self) -> None:
        while True:
            left = (self.wake_up - workflow.now()).total_seconds()
            if left <= 0:
                return
            self.changed = False
            try:
                await workflow.wait_condition(lambda: self.changed, timeout=left)
            except builtins.TimeoutError:
                return

    def move(self, wake_up: datetime) -> None:
        self.wake_up = wake_up
        self.changed = True


@workflow.defn
class Sleeper:
    def __init__(self) -> None:
        self.timer: UpdatableTimer | None = None

    @workflow.run
    async def run(self, wake_up: datetime) -> str:
        self.timer = UpdatableTimer(wake_up)
        await self.timer.sleep()
        return "awake"

    @workflow.signal
    async def wake_at(self, wake_up: datetime) -> None:
        await workflow.wait_condition(lambda: self.timer is not None)
        assert self.timer is not None
        self.timer.move(wake_up)

    @workflow.query
    def due(self) -> datetime | None:
        return None if self.timer is None else self.timer.wake_up


async def test_a_timer_is_moved_by_a_signal(client: Client, queue: str) -> None:
    far = datetime.fromisoformat("2100-01-01T00:00:00+00:00")
    past = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    async with Worker(client, task_queue=queue, workflows=[Sleeper]):
        handle = await client.start_workflow(Sleeper.run, far, id="sleeper", task_queue=queue)

        async def sleeps() -> bool:
            return await handle.query(Sleeper.due) == far

        await until(sleeps)
        await handle.signal(Sleeper.wake_at, past)
        assert await handle.result() == "awake"


# ------------------------------------------------------------------------------------------------- a small language


@dataclass
class Step:
    activity: str | None = None
    arguments: list[str] = field(default_factory=list)
    result: str | None = None
    sequence: list[Step] = field(default_factory=list)
    parallel: list[Step] = field(default_factory=list)


@activity.defn
async def upper(text: str) -> str:
    return text.upper()


@activity.defn
async def join(one: str, other: str) -> str:
    return f"{one}+{other}"


@workflow.defn
class Interpreter:
    @workflow.run
    async def run(self, root: Step, variables: dict[str, str]) -> dict[str, str]:
        self.variables = dict(variables)
        await self.execute(root)
        return self.variables

    async def execute(self, step: Step) -> None:
        if step.activity is not None:
            arguments = [self.variables.get(name, name) for name in step.arguments]
            result = await workflow.execute_activity(step.activity, args=arguments, start_to_close_timeout=SOON)
            if step.result:
                self.variables[step.result] = result
        for each in step.sequence:
            await self.execute(each)
        if step.parallel:
            await asyncio.gather(*[self.execute(each) for each in step.parallel])


async def test_a_small_language_is_interpreted(client: Client, queue: str) -> None:
    root = Step(
        sequence=[
            Step(parallel=[Step("upper", ["a"], "A"), Step("upper", ["b"], "B")]),
            Step("join", ["A", "B"], "AB"),
        ]
    )
    async with Worker(client, task_queue=queue, workflows=[Interpreter], activities=[upper, join]):
        result = await client.execute_workflow(
            Interpreter.run, args=[root, {"a": "x", "b": "y"}], id="language", task_queue=queue
        )
    assert result == {"a": "x", "b": "y", "A": "X", "B": "Y", "AB": "X+Y"}


# ------------------------------------------------------------------------------------------------- a pool of resources


@workflow.defn
class Pool:
    """Lends resources to workflows that ask by signal, and continues as new with who is waiting."""

    @workflow.init
    def __init__(self, free: list[str], waiting: list[str], turns: int) -> None:
        self.free = free
        self.waiting = waiting
        self.turns = turns
        self.served = 0
        self.closed = False

    @workflow.run
    async def run(self, free: list[str], waiting: list[str], turns: int) -> list[str]:
        while True:
            await workflow.wait_condition(lambda: bool(self.free and self.waiting) or self.closed or self.served >= 2)
            if self.closed:
                return self.free
            if self.served >= 2 and not (self.free and self.waiting):
                workflow.continue_as_new(args=[self.free, self.waiting, self.turns + 1])
            if self.free and self.waiting:
                borrower = workflow.get_external_workflow_handle_for(Borrower.run, self.waiting.pop(0))
                await borrower.signal("lend", self.free.pop(0))
                self.served += 1

    @workflow.signal
    def want(self, workflow_id: str) -> None:
        self.waiting.append(workflow_id)

    @workflow.signal
    def give_back(self, resource: str) -> None:
        self.free.append(resource)

    @workflow.signal
    def close(self) -> None:
        self.closed = True


@workflow.defn
class Borrower:
    def __init__(self) -> None:
        self.lent: str | None = None

    @workflow.run
    async def run(self, pool_id: str) -> str:
        pool = workflow.get_external_workflow_handle_for(Pool.run, pool_id)
        await pool.signal(Pool.want, workflow.info().workflow_id)
        await workflow.wait_condition(lambda: self.lent is not None)
        assert self.lent is not None
        await workflow.sleep(0.01)
        await pool.signal(Pool.give_back, self.lent)
        return self.lent

    @workflow.signal
    def lend(self, resource: str) -> None:
        self.lent = resource


async def test_a_pool_lends_its_resources(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Pool, Borrower]):
        pool = await client.start_workflow(Pool.run, args=[["r1", "r2"], [], 0], id="pool", task_queue=queue)
        borrowers = [
            await client.start_workflow(Borrower.run, "pool", id=f"borrower-{number}", task_queue=queue)
            for number in range(6)
        ]
        lent = [await each.result() for each in borrowers]
        assert set(lent) == {"r1", "r2"}
        latest = client.get_workflow_handle_for(Pool.run, "pool")
        await latest.signal(Pool.close)
        assert len(await latest.result()) <= 2
        with pytest.raises(WorkflowContinuedAsNewError):
            await pool.result(follow_runs=False)


# ------------------------------------------------------------------------------------------------- a sliding window


@workflow.defn
class Record:
    @workflow.run
    async def run(self, number: int) -> None:
        await workflow.sleep(0.001 * (number % 3))
        parent = workflow.info().parent
        assert parent is not None
        await workflow.get_external_workflow_handle_for(Window.run, parent.workflow_id).signal(Window.finished, number)


@workflow.defn
class Window:
    """At most three children at once; continues as new while they run, and they report to whoever goes on."""

    @workflow.init
    def __init__(self, offset: int, total: int, open: list[int], done: int) -> None:
        self.open = set(open)
        self.done = done

    @workflow.run
    async def run(self, offset: int, total: int, open: list[int], done: int) -> int:
        for number in range(offset, min(offset + 4, total)):
            await workflow.wait_condition(lambda: len(self.open) < 3)
            self.open.add(number)
            await workflow.start_child_workflow(
                Record.run,
                number,
                id=f"{workflow.info().workflow_id}/{number}",
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
        if offset + 4 < total:
            workflow.continue_as_new(args=[offset + 4, total, sorted(self.open), self.done])
        await workflow.wait_condition(lambda: not self.open)
        return self.done

    @workflow.signal
    def finished(self, number: int) -> None:
        if number in self.open:
            self.open.discard(number)
            self.done += 1


async def test_a_sliding_window_of_children_over_a_chain(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Window, Record]):
        handle = await client.start_workflow(Window.run, args=[0, 11, [], 0], id="window", task_queue=queue)
        assert await handle.result() == 11


# ------------------------------------------------------------------------------------------------- a queue per worker


@activity.defn
async def my_queue() -> str:
    raise AssertionError("replaced by each worker's own")


@activity.defn
async def where_am_i() -> str:
    return activity.info().task_queue


@workflow.defn
class Sticky:
    @workflow.run
    async def run(self) -> list[str]:
        own = await workflow.execute_activity(my_queue, start_to_close_timeout=SOON)
        return [
            await workflow.execute_activity(where_am_i, task_queue=own, start_to_close_timeout=SOON) for _ in range(2)
        ]


async def test_activities_stay_on_one_worker_by_its_own_queue(client: Client, queue: str) -> None:
    own = f"{queue}-of-this-host"

    @activity.defn(name="my_queue")
    async def tells() -> str:
        return own

    async with (
        Worker(client, task_queue=queue, workflows=[Sticky], activities=[tells]),
        Worker(client, task_queue=own, activities=[where_am_i]),
    ):
        assert await client.execute_workflow(Sticky.run, id="sticky", task_queue=queue) == [own, own]


# ------------------------------------------------------------------------------------------------- patches


@workflow.defn(name="Patched")
class BeforePatch:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        result = await workflow.execute_activity(upper, "old", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return result

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


@workflow.defn(name="Patched")
class AfterPatch:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        if workflow.patched("new-words"):
            result = await workflow.execute_activity(upper, "new", start_to_close_timeout=SOON)
        else:
            result = await workflow.execute_activity(upper, "old", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return result

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


@workflow.defn(name="Patched")
class PatchDeprecated:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        workflow.deprecate_patch("new-words")
        result = await workflow.execute_activity(upper, "new", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return result

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


async def waits(handle: WorkflowHandle[Any, Any]) -> None:
    async def blocked() -> bool:
        return (await handle.describe()).history_length >= 3

    await until(blocked)


async def test_code_is_changed_under_running_workflows(client: Client, queue: str) -> None:
    async def begun(code: Any, id: str) -> WorkflowHandle[Any, Any]:
        async with Worker(client, task_queue=queue, workflows=[code], activities=[upper], max_cached_workflows=0):
            handle = await client.start_workflow("Patched", id=id, task_queue=queue)
            await waits(handle)
            return handle

    first = await begun(BeforePatch, "patched-1")
    second = await begun(AfterPatch, "patched-2")
    async with Worker(client, task_queue=queue, workflows=[AfterPatch], activities=[upper]):
        await first.signal("proceed")
        assert await first.result() == "OLD"
    third = await begun(PatchDeprecated, "patched-3")
    async with Worker(client, task_queue=queue, workflows=[PatchDeprecated], activities=[upper]):
        for handle in (second, third):
            await handle.signal("proceed")
            assert await handle.result() == "NEW"


# ------------------------------------------------------------------------------------------------- attributes, ids, limits

COLOUR = SearchAttributeKey.for_keyword("Colour")
SIZE = SearchAttributeKey.for_float("Size")
SINCE = SearchAttributeKey.for_datetime("Since")
TAGS = SearchAttributeKey.for_keyword_list("Tags")


@workflow.defn
class Attributed:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> list[Any]:
        before = workflow.info().typed_search_attributes
        workflow.upsert_search_attributes(
            [
                COLOUR.value_set("blue"),
                SIZE.value_set(2),
                SINCE.value_set(workflow.now()),
                TAGS.value_set(["a", "b"]),
            ]
        )
        workflow.upsert_memo({"b": {"deep": [1]}, "a": None})
        after = workflow.info().typed_search_attributes
        await workflow.wait_condition(lambda: self.done)
        workflow.upsert_search_attributes([COLOUR.value_unset()])
        assert workflow.memo_value("b", type_hint=dict) == {"deep": [1]}
        return [
            before[COLOUR],
            after[COLOUR],
            after[SIZE],
            after[SINCE] == workflow.info().start_time or isinstance(after[SINCE], datetime),
            list(after[TAGS]),
            workflow.info().typed_search_attributes.get(COLOUR),
            dict(workflow.memo()),
        ]

    @workflow.signal
    def finish(self) -> None:
        self.done = True


async def test_search_attributes_and_memo_are_upserted(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Attributed]):
        handle = await client.start_workflow(
            Attributed.run,
            id="attributed",
            task_queue=queue,
            search_attributes=TypedSearchAttributes([SearchAttributePair(COLOUR, "red")]),
            memo={"a": 1},
        )

        async def upserted() -> bool:
            return (await handle.describe()).typed_search_attributes.get(COLOUR) == "blue"

        await until(upserted)
        described = await handle.describe()
        assert described.typed_search_attributes[SIZE] == 2.0
        assert isinstance(described.typed_search_attributes[SINCE], datetime)
        assert await described.memo() == {"b": {"deep": [1]}}
        found = [each.id async for each in client.list_workflows("Colour = 'blue' AND Size >= 1.5")]
        assert found == ["attributed"]
        await handle.signal(Attributed.finish)
        assert await handle.result() == ["red", "blue", 2.0, True, ["a", "b"], None, {"b": {"deep": [1]}}]


@workflow.defn
class Quick:
    @workflow.run
    async def run(self, fail: bool = False) -> str:
        if fail:
            raise ApplicationError("asked to")
        return workflow.info().run_id


async def test_ids_are_reused_by_their_policies(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Quick, Attributed]):
        once = {"id": "reused", "task_queue": queue}
        first = await client.execute_workflow(Quick.run, **once)  # type: ignore[arg-type]
        second = await client.execute_workflow(Quick.run, **once)  # type: ignore[arg-type]
        assert first != second
        for policy in (WorkflowIDReusePolicy.REJECT_DUPLICATE, WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY):
            with pytest.raises(WorkflowAlreadyStartedError):
                await client.start_workflow(Quick.run, id="reused", task_queue=queue, id_reuse_policy=policy)
        open_one = await client.start_workflow(Attributed.run, id="held", task_queue=queue)
        found = await client.start_workflow(
            Attributed.run, id="held", task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
        )
        assert found.result_run_id == open_one.result_run_id
        renewed = await client.start_workflow(
            Quick.run, id="held", task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
        )
        assert await renewed.result() == renewed.result_run_id
        with pytest.raises(WorkflowFailureError):
            await open_one.result()


async def test_a_workflow_is_tried_again_and_times_out(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Attempts, Attributed]):
        result = await client.execute_workflow(
            Attempts.run,
            id="attempts",
            task_queue=queue,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)),
        )
        assert result == 3
        with pytest.raises(WorkflowFailureError) as late:
            await client.execute_workflow(
                Attributed.run, id="late", task_queue=queue, execution_timeout=timedelta(seconds=0.5)
            )
        assert isinstance(late.value.cause, TimeoutError)


@workflow.defn
class Attempts:
    @workflow.run
    async def run(self) -> int:
        if workflow.info().attempt < 3:
            raise ApplicationError("not yet")
        return workflow.info().attempt


class Mine(Exception):
    pass


@workflow.defn(failure_exception_types=[Mine])
class FailsOnMine:
    @workflow.run
    async def run(self) -> None:
        raise Mine("my own")


@workflow.defn
class FailsOnWorkerTypes:
    @workflow.run
    async def run(self) -> None:
        raise KeyError("bug")


async def test_which_exceptions_fail_a_workflow(client: Client, queue: str) -> None:
    async with Worker(
        client,
        task_queue=queue,
        workflows=[FailsOnMine, FailsOnWorkerTypes],
        workflow_failure_exception_types=[KeyError],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        for cls, kind in ((FailsOnMine, "Mine"), (FailsOnWorkerTypes, "KeyError")):
            with pytest.raises(WorkflowFailureError) as failed:
                await client.execute_workflow(cls.__name__, id=f"fails-{kind}", task_queue=queue)
            assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == kind


@workflow.defn
class WallClock:
    @workflow.run
    async def run(self) -> bool:
        with workflow.unsafe.imports_passed_through():
            import decimal

        assert decimal.Decimal(1)
        with workflow.unsafe.sandbox_unrestricted():
            assert workflow.unsafe.is_sandbox_unrestricted() and workflow.info().workflow_type == "WallClock"
            wall = time.time()
        try:
            time.time()
        except RestrictedWorkflowAccessError as error:
            return wall > 0 and error.qualified_name == "time.time.__call__" and workflow.unsafe.in_sandbox()
        return False


@workflow.defn(sandboxed=False)
class OnItsOwn:
    @workflow.run
    async def run(self) -> bool:
        return not workflow.unsafe.in_sandbox() and time.strftime("%Y") != "" and time.time() == workflow.time()


async def test_the_sandbox_is_named_and_the_guard_works(client: Client, queue: str) -> None:
    runner = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("decimal"))
    async with Worker(client, task_queue=queue, workflows=[WallClock, OnItsOwn], workflow_runner=runner):
        assert await client.execute_workflow(WallClock.run, id="clock", task_queue=queue) is True
        assert await client.execute_workflow(OnItsOwn.run, id="own", task_queue=queue) is True


async def test_an_activity_without_a_workflow(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, activities=[upper, where_am_i]):
        result = await client.execute_activity(
            upper, "alone", id="alone", task_queue=queue, start_to_close_timeout=SOON
        )
        assert result == "ALONE"
        handle = await client.start_activity(where_am_i, id="where", task_queue=queue, start_to_close_timeout=SOON)
        assert await handle.result() == queue
