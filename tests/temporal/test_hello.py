"""The first things that people try: each kind of call once, as programs for Temporal write it."""

from __future__ import annotations

import asyncio
import builtins
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.client import (
    Client,
    RPCError,
    RPCStatusCode,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from memflow.temporal.common import RawValue, RetryPolicy
from memflow.temporal.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    TimeoutError,
    TimeoutType,
    WorkflowAlreadyStartedError,
)
from memflow.temporal.worker import Worker
from tests.polling import until

SOON = timedelta(seconds=20)


@dataclass
class Greeting:
    word: str
    name: str


@activity.defn
async def greet(greeting: Greeting) -> str:
    return f"{greeting.word}, {greeting.name}!"


@activity.defn
def greet_in_thread(greeting: Greeting) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return f"{greeting.word}, {activity.info().workflow_id}!"


class Greeter:
    def __init__(self, word: str) -> None:
        self.word = word

    @activity.defn
    async def by_method(self, name: str) -> str:
        return f"{self.word}, {name}!"


@activity.defn(name="caller")
class Caller:
    def __init__(self, word: str) -> None:
        self.word = word

    async def __call__(self, name: str) -> str:
        return f"{self.word}, {name}?"


@workflow.defn
class Hello:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, Greeting("Hello", name), start_to_close_timeout=SOON)


@workflow.defn
class ManyWays:
    @workflow.run
    async def run(self, name: str) -> list[str]:
        handle = workflow.start_activity(greet, Greeting("A", name), start_to_close_timeout=SOON)
        return [
            await handle,
            await workflow.execute_activity(greet_in_thread, Greeting("B", name), schedule_to_close_timeout=SOON),
            await workflow.execute_activity_method(Greeter.by_method, name, start_to_close_timeout=SOON),
            await workflow.execute_activity_class(Caller, name, start_to_close_timeout=SOON),
            await workflow.execute_activity("greet", args=[Greeting("E", name)], start_to_close_timeout=SOON),
            await workflow.execute_local_activity(greet, Greeting("F", name), start_to_close_timeout=SOON),
            *await asyncio.gather(
                *[workflow.execute_activity(greet, Greeting(word, name), start_to_close_timeout=SOON) for word in "GHI"]
            ),
        ]


@workflow.defn
class Child:
    def __init__(self) -> None:
        self.extra = "none"

    @workflow.run
    async def run(self, name: str, patient: bool = False) -> str:
        if patient:
            await workflow.wait_condition(lambda: self.extra != "none")
        return f"child {name} {self.extra}"

    @workflow.signal
    def say(self, extra: str) -> None:
        self.extra = extra


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, name: str) -> list[str]:
        first = await workflow.execute_child_workflow(Child.run, args=[name], id=f"{workflow.info().workflow_id}-child")
        handle = await workflow.start_child_workflow(Child.run, args=[name, True])
        await handle.signal(Child.say, "signalled")
        return [first, await handle]


@workflow.defn
class Talkative:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.done = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.done)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.names

    @workflow.signal
    async def add(self, name: str) -> None:
        self.names.append(name)

    @workflow.signal(name="finish")
    def finish_now(self) -> None:
        self.done = True

    @workflow.query
    def count(self, at_least: int = 0) -> int:
        return max(at_least, len(self.names))

    @workflow.query
    def fails(self) -> str:
        raise ApplicationError("no answer")

    @workflow.update
    async def rename(self, index: int, name: str) -> str:
        before = self.names[index]
        await workflow.sleep(0.01)
        self.names[index] = name
        return before

    @rename.validator
    def check_rename(self, index: int, name: str) -> None:
        if not name:
            raise ValueError("a name is needed")

    @workflow.update
    def fail_update(self) -> None:
        raise ApplicationError("on purpose", type="Mine")


@activity.defn
async def always_fails(text: str) -> None:
    raise ValueError(text)


@workflow.defn
class Failing:
    @workflow.run
    async def run(self, text: str) -> None:
        await workflow.execute_activity(
            always_fails,
            text,
            start_to_close_timeout=SOON,
            retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=1)),
        )


seen: list[str] = []


@activity.defn
async def never_ends() -> None:
    try:
        while True:
            activity.heartbeat("alive")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


@activity.defn
async def clean_up() -> str:
    return "cleaned"


@workflow.defn
class Cancellable:
    @workflow.run
    async def run(self) -> None:
        try:
            await workflow.execute_activity(
                never_ends,
                start_to_close_timeout=SOON,
                heartbeat_timeout=timedelta(seconds=5),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        finally:
            seen.append(await workflow.execute_activity(clean_up, start_to_close_timeout=SOON))


@workflow.defn
class Counting:
    @workflow.run
    async def run(self, left: int) -> str:
        if left == 0:
            return f"after {workflow.info().continued_run_id is not None}"
        workflow.continue_as_new(left - 1)


@workflow.defn
class Timers:
    @workflow.run
    async def run(self) -> list[str]:
        events: list[str] = []
        await asyncio.sleep(0.05)
        started = workflow.now()
        await workflow.sleep(timedelta(milliseconds=50))
        events.append("slept" if workflow.now() - started >= timedelta(milliseconds=50) else "too early")
        try:
            await workflow.wait_condition(lambda: False, timeout=timedelta(milliseconds=30))
        except builtins.TimeoutError:
            events.append("timeout")
        done, pending = await workflow.wait(
            [asyncio.create_task(asyncio.sleep(0.01)), asyncio.create_task(asyncio.sleep(10))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        events.append(f"{len(done)} done, {len(pending)} pending")
        for task in pending:
            task.cancel()
        return events


@workflow.defn(dynamic=True)
class Anything:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        name = workflow.payload_converter().from_payload(args[0].payload, str)
        greeting = await workflow.execute_activity("unknown_activity", name, start_to_close_timeout=SOON)
        return f"{workflow.info().workflow_type}: {greeting}"


@activity.defn(dynamic=True)
async def any_activity(args: Sequence[RawValue]) -> str:
    value = activity.payload_converter().from_payload(args[0].payload, str)
    return f"{activity.info().activity_type} of {value}"


async def test_an_activity_greets(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Hello], activities=[greet]):
        result = await client.execute_workflow(Hello.run, "World", id="hello", task_queue=queue)
    assert result == "Hello, World!"


async def test_activities_of_every_kind(client: Client, queue: str) -> None:
    with ThreadPoolExecutor(4) as executor:
        activities = [greet, greet_in_thread, Greeter("C").by_method, Caller("D")]
        async with Worker(
            client, task_queue=queue, workflows=[ManyWays], activities=activities, activity_executor=executor
        ):
            result = await client.execute_workflow(ManyWays.run, "x", id="ways", task_queue=queue)
    assert result == ["A, x!", "B, ways!", "C, x!", "D, x?", "E, x!", "F, x!", "G, x!", "H, x!", "I, x!"]


async def test_children_return_and_hear_signals(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Parent, Child]):
        result = await client.execute_workflow(Parent.run, "c", id="parent", task_queue=queue)
    assert result == ["child c none", "child c signalled"]


async def test_signals_queries_and_updates(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Talkative]):
        handle = await client.start_workflow(
            Talkative.run, id="talk", task_queue=queue, start_signal="add", start_signal_args=["zero"]
        )
        await handle.signal(Talkative.add, "one")
        await handle.signal("add", "two")
        assert await handle.query(Talkative.count) == 3
        assert await handle.query("count", 7) == 7
        assert await handle.execute_update(Talkative.rename, args=[1, "uno"]) == "one"
        update = await handle.start_update(
            "rename", args=[2, "due"], wait_for_stage=workflow_stage("COMPLETED"), id="update-1"
        )
        assert await update.result() == "two"
        assert await handle.get_update_handle("update-1").result() == "two"
        with pytest.raises(WorkflowUpdateFailedError) as rejected:
            await handle.execute_update(Talkative.rename, args=[1, ""])
        assert isinstance(rejected.value.cause, ApplicationError)
        assert rejected.value.cause.type == "ValueError"
        assert rejected.value.cause.message == "a name is needed"
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(Talkative.fail_update)
        assert isinstance(failed.value.cause, ApplicationError)
        assert (failed.value.cause.type, failed.value.cause.message) == ("Mine", "on purpose")
        with pytest.raises(WorkflowQueryFailedError, match="no answer"):
            await handle.query(Talkative.fails)
        with pytest.raises(WorkflowQueryFailedError, match="Query handler for 'nothing' expected but not found"):
            await handle.query("nothing")
        await handle.signal("finish")
        assert await handle.result() == ["zero", "uno", "due"]
        assert await handle.query(Talkative.count) == 3
        with pytest.raises(RPCError) as closed:
            await handle.signal(Talkative.add, "late")
        assert closed.value.status == RPCStatusCode.NOT_FOUND


def workflow_stage(name: str) -> Any:
    from memflow.temporal.client import WorkflowUpdateStage

    return WorkflowUpdateStage[name]


async def test_a_failing_activity_fails_its_workflow_with_the_chain_of_causes(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Failing], activities=[always_fails]):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(Failing.run, "broken", id="failing", task_queue=queue)
    activity_error = failed.value.cause
    assert isinstance(activity_error, ActivityError)
    assert activity_error.activity_type == "always_fails"
    assert activity_error.retry_state is not None and activity_error.retry_state.name == "MAXIMUM_ATTEMPTS_REACHED"
    cause = activity_error.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("ValueError", "broken")
    assert cause.failure is not None and "always_fails" in cause.failure.stack_trace
    assert isinstance(cause, FailureError)


async def test_cancelling_a_workflow_cancels_its_activity_and_cleans_up(client: Client, queue: str) -> None:
    seen.clear()
    async with Worker(client, task_queue=queue, workflows=[Cancellable], activities=[never_ends, clean_up]):
        handle = await client.start_workflow(Cancellable.run, id="cancellable", task_queue=queue)

        async def runs() -> bool:
            description = await handle.describe()
            return bool(description.raw_description.pending_activities)

        await until(runs)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert seen == ["cancelled", "cleaned"]


async def test_terminating_a_workflow_tells_why(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Talkative]):
        handle = await client.start_workflow(Talkative.run, id="doomed", task_queue=queue)
        await handle.terminate(reason="enough")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, TerminatedError)
        assert failed.value.cause.message == "enough"


async def test_continue_as_new(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Counting]):
        handle = await client.start_workflow(Counting.run, 3, id="counting", task_queue=queue)
        assert await handle.result() == "after True"


async def test_timers_and_conditions(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Timers]):
        result = await client.execute_workflow(Timers.run, id="timers", task_queue=queue)
    assert result == ["slept", "timeout", "1 done, 1 pending"]


async def test_dynamic_workflows_and_activities_take_what_nobody_else_does(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Anything, Hello], activities=[any_activity, greet]):
        found = await client.execute_workflow("Unheard", "me", id="dynamic", task_queue=queue)
        assert found == "Unheard: unknown_activity of me"
        assert await client.execute_workflow(Hello.run, "you", id="static", task_queue=queue) == "Hello, you!"


async def test_an_id_is_taken_once(client: Client, queue: str) -> None:
    await client.start_workflow(Hello.run, "a", id="taken", task_queue=queue)
    with pytest.raises(WorkflowAlreadyStartedError) as taken:
        await client.start_workflow(Hello.run, "b", id="taken", task_queue=queue)
    assert (taken.value.workflow_id, taken.value.workflow_type) == ("taken", "Hello")


async def test_what_is_not_there_is_an_rpc_error(client: Client) -> None:
    handle = client.get_workflow_handle("nobody")
    for call in (handle.result, handle.describe, handle.cancel, handle.terminate):
        with pytest.raises(RPCError) as missing:
            await call()
        assert missing.value.status == RPCStatusCode.NOT_FOUND


@activity.defn
async def too_slow() -> None:
    await asyncio.sleep(10)


@workflow.defn
class Impatient:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            too_slow, start_to_close_timeout=timedelta(milliseconds=100), retry_policy=RetryPolicy(maximum_attempts=1)
        )


async def test_a_timeout_is_the_cause(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Impatient], activities=[too_slow]):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(Impatient.run, id="impatient", task_queue=queue)
    assert isinstance(failed.value.cause, ActivityError)
    timeout = failed.value.cause.cause
    assert isinstance(timeout, TimeoutError)
    assert timeout.type == TimeoutType.START_TO_CLOSE


@workflow.defn
class FailingParent:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_child_workflow(FailingChild.run, id="failing-child")
        except ChildWorkflowError as error:
            assert isinstance(error.cause, ApplicationError)
            return f"{error.workflow_type}: {error.cause.message} {list(error.cause.details)}"
        return "not failed"


@workflow.defn
class FailingChild:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("no luck", {"left": 3}, type="Luck")


async def test_a_failing_child_is_caught_by_its_parent(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[FailingParent, FailingChild]):
        result = await client.execute_workflow(FailingParent.run, id="fp", task_queue=queue)
    assert result == "FailingChild: no luck [{'left': 3}]"


@activity.defn
def waits_in_thread() -> str:
    try:
        while True:
            time.sleep(0.01)
            activity.heartbeat()
    except CancelledError:
        seen.append("thread cancelled")
        return "swallowed"


@workflow.defn
class CancelsThread:
    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(
            waits_in_thread,
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=2),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.sleep(0.3)
        handle.cancel()
        return await handle


async def test_a_thread_is_cancelled_by_an_exception_in_it(client: Client, queue: str) -> None:
    seen.clear()
    with ThreadPoolExecutor(1) as executor:
        async with Worker(
            client, task_queue=queue, workflows=[CancelsThread], activities=[waits_in_thread], activity_executor=executor
        ):
            assert await client.execute_workflow(CancelsThread.run, id="thread", task_queue=queue) == "swallowed"
    assert seen == ["thread cancelled"]


@workflow.defn
class CancelsAtOnce:
    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(never_ends, start_to_close_timeout=SOON, heartbeat_timeout=SOON)
        handle.cancel()
        try:
            await handle
        except asyncio.CancelledError as error:          # as of any task that never ran
            return type(error).__name__
        return "not cancelled"


async def test_an_activity_is_cancelled_before_its_task_ran(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[CancelsAtOnce], activities=[never_ends]):
        assert await client.execute_workflow(CancelsAtOnce.run, id="at-once", task_queue=queue) == "CancelledError"
