"""Histories that Temporal's own server recorded are replayed, and whatever their code does otherwise is noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.client import WorkflowHistory
from memflow.temporal.client.failure_json import payload_from_json, payload_to_json
from memflow.temporal.converter import DataConverter, PayloadCodec
from memflow.temporal.exceptions import ActivityError, ApplicationError, ChildWorkflowError, TimeoutError
from memflow.temporal.siphash import siphash13
from memflow.temporal.worker import Replayer
from memflow.temporal.workflow import NondeterminismError
from tests.temporal.told import RUN, Told, failure, payload, payloads

SOON = timedelta(seconds=20)
SEEN: list[Any] = []
"""What the code of the workflows here has seen while it was replayed."""


@activity.defn
async def say(text: str) -> str:
    return text


@workflow.defn
class Plain:
    """Two activities at once, a timer, and an end."""

    @workflow.run
    async def run(self, text: str) -> str:
        calls = (workflow.execute_activity(say, f"{text}{n}", start_to_close_timeout=SOON) for n in range(2))
        first = await asyncio.gather(*calls)
        await asyncio.sleep(5)
        SEEN.append((first, str(workflow.now())))
        return " ".join(first)


def plain(*, name: str = "say", timer: bool = True, end: bool = True) -> Told:
    told = Told("Plain", "a")
    told.task()
    one, two = told.activity("say", "a0"), told.activity(name, "a1")
    told.done(two, "two")
    told.done(one, "one")
    told.task()
    if timer:
        told.fired(told.timer(5))
        told.task()
    if end:
        told.completed("one two")
    return told


async def replay(kind: type, told: Told) -> BaseException | None:
    SEEN.clear()
    history = WorkflowHistory.from_json("told", told.json())
    assert json.loads(WorkflowHistory.from_json("told", history.to_json()).to_json()) == history.to_json_dict()
    return (await Replayer(workflows=[kind]).replay_workflow(history, raise_on_replay_failure=False)).replay_failure


async def test_activities_and_timers_are_answered_at_the_times_of_their_tasks() -> None:
    assert await replay(Plain, plain()) is None
    assert SEEN == [(["one", "two"], "2026-01-01 00:00:17.123456+00:00")]
    assert await replay(Plain, plain(end=False)) is not None, "the code ends where the history goes on"
    told = Told("Plain", "a")
    told.task()
    told.activity("say", "a0")
    told.activity("say", "a1")
    told.add("WORKFLOW_EXECUTION_TERMINATED", reason="enough")
    assert await replay(Plain, told) is None, "a history may end anywhere"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (plain(name="shout"), "the history holds event 6 (activity_task_scheduled shout), the code asks for"),
        (plain(timer=False), "(workflow_execution_completed), the code asks for"),
    ],
)
async def test_code_that_asks_for_something_else_is_told_where(told: Told, said: str) -> None:
    failed = await replay(Plain, told)
    assert isinstance(failed, NondeterminismError)
    assert str(failed).startswith("[TMPRL1100] Nondeterminism error: ") and said in str(failed)
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[Plain]).replay_workflow(WorkflowHistory.from_json("told", told.json()))


@workflow.defn
class Failing:
    @workflow.run
    async def run(self) -> None:
        try:
            await workflow.execute_activity(say, "a", start_to_close_timeout=SOON)
        except ActivityError as error:
            cause = error.cause
            assert isinstance(cause, ApplicationError)
            SEEN.append((cause.type, cause.message, list(cause.details), cause.non_retryable, error.retry_state))
        try:
            await workflow.execute_activity(say, "b", start_to_close_timeout=SOON)
        except ActivityError as error:
            assert isinstance(error.cause, TimeoutError)
            SEEN.append(error.cause.type)
        raise ApplicationError("enough", type="Mine")


async def test_failures_come_with_all_that_they_hold() -> None:
    told = Told("Failing")
    told.task()
    bad = failure("bad", "Worse", nonRetryable=True, details=payloads("why", {"n": 1}))
    scheduled = str(told.activity("say", "a"))
    told.add("ACTIVITY_TASK_STARTED", scheduledEventId=scheduled)
    told.add(
        "ACTIVITY_TASK_FAILED", scheduledEventId=scheduled, failure=bad, retryState="RETRY_STATE_NON_RETRYABLE_FAILURE"
    )
    told.task()
    late = {"message": "late", "timeoutFailureInfo": {"timeoutType": "TIMEOUT_TYPE_HEARTBEAT"}}
    scheduled = str(told.activity("say", "b"))
    told.add("ACTIVITY_TASK_TIMED_OUT", scheduledEventId=scheduled, failure=late, retryState="RETRY_STATE_TIMEOUT")
    told.task()
    told.add("WORKFLOW_EXECUTION_FAILED", failure=failure("enough", "Mine"))
    assert await replay(Failing, told) is None
    (type, message, details, non_retryable, state), timeout = SEEN
    assert (type, message, details, non_retryable) == ("Worse", "bad", ["why", {"n": 1}], True)
    assert (state.name, timeout.name) == ("NON_RETRYABLE_FAILURE", "HEARTBEAT")


@workflow.defn
class Box:
    """Signals, updates and a cancellation, in the order of the history."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @workflow.run
    async def run(self) -> None:
        self.seen.append("run")
        try:
            await workflow.wait_condition(lambda: False)
        finally:
            SEEN.extend(self.seen)

    @workflow.signal
    def put(self, text: str) -> None:
        self.seen.append(f"signal {text}")

    @workflow.update
    async def ask(self, text: str) -> str:
        self.seen.append(f"update {text}")
        answer = await workflow.execute_activity(say, text, start_to_close_timeout=SOON)
        self.seen.append(f"answer {answer}")
        return answer


def box(*, answered: str = "ask") -> Told:
    told = Told("Box")
    told.add("WORKFLOW_EXECUTION_SIGNALED", signalName="put", input=payloads("0"))
    told.task()
    first = told.add("WORKFLOW_EXECUTION_SIGNALED", signalName="put", input=payloads("1"))
    told.add("WORKFLOW_EXECUTION_SIGNALED", signalName="put", input=payloads("2"))
    told.task()
    accepted = told.update("u", answered, "x", after=first)
    told.done(told.activity("say", "x"), "y")
    told.task()
    told.updated("u", accepted, "y")
    told.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED", cause="enough")
    told.task()
    told.add("WORKFLOW_EXECUTION_CANCELED")
    return told


async def test_signals_updates_and_a_cancellation_come_where_they_came() -> None:
    assert await replay(Box, box()) is None
    assert SEEN == ["signal 0", "run", "signal 1", "update x", "signal 2", "answer y"]


async def test_an_update_that_the_code_does_not_answer_is_noticed() -> None:
    failed = await replay(Box, box(answered="other"))
    assert isinstance(failed, NondeterminismError) and "update" in str(failed)


@workflow.defn
class Family:
    @workflow.run
    async def run(self) -> None:
        SEEN.append(await workflow.execute_child_workflow("Kind", "a", id="child-1"))
        handle = await workflow.start_child_workflow("Kind", "b", id="child-2")
        await handle.signal("put", 1)
        try:
            await handle
        except ChildWorkflowError as error:
            SEEN.append((error.workflow_id, str(error.cause)))
        try:
            await workflow.get_external_workflow_handle("nobody").signal("put")
        except ApplicationError as error:
            SEEN.append(error.message)


def family(*, second: str = "child-2") -> Told:
    told = Told("Family")
    kind = {"workflowType": {"name": "Kind"}}

    def child(id: str) -> dict[str, Any]:
        number = told.add("START_CHILD_WORKFLOW_EXECUTION_INITIATED", workflowId=id, **kind)
        about = {"initiatedEventId": str(number), "workflowExecution": {"workflowId": id, "runId": RUN}, **kind}
        told.add("CHILD_WORKFLOW_EXECUTION_STARTED", **about)
        return about

    told.task()
    about = child("child-1")
    told.task()
    told.add("CHILD_WORKFLOW_EXECUTION_COMPLETED", result=payloads("done"), **about)
    told.task()
    about = child(second)
    told.task()
    target = {"workflowExecution": {"workflowId": second}}
    sent = told.add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED", signalName="put", **target)
    told.add("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED", initiatedEventId=str(sent), **target)
    told.task()
    told.add("CHILD_WORKFLOW_EXECUTION_FAILED", failure=failure("bad", "Mine"), **about)
    told.task()
    target = {"workflowExecution": {"workflowId": "nobody"}}
    sent = told.add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED", signalName="put", **target)
    told.add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED", initiatedEventId=str(sent), **target)
    told.task()
    told.completed()
    return told


async def test_children_and_signals_to_others_are_answered() -> None:
    assert await replay(Family, family()) is None
    assert SEEN == ["done", ("child-2", "Mine: bad"), "Unable to signal external workflow because it was not found"]
    failed = await replay(Family, family(second="other"))
    assert isinstance(failed, NondeterminismError) and "child-2" in str(failed)


@workflow.defn
class Patched:
    @workflow.run
    async def run(self) -> None:
        SEEN.append([workflow.patched("new"), workflow.patched("never")])
        await asyncio.sleep(1)
        workflow.deprecate_patch("old")


def patched(*ids: str, deprecated: str | None = "old") -> Told:
    told = Told("Patched")
    told.task()
    for id in ids:
        told.patch(id)
    told.fired(told.timer(1))
    told.task()
    if deprecated is not None:
        told.patch(deprecated, deprecated=True)
    told.completed()
    return told


async def test_patches_are_taken_where_the_history_marks_them() -> None:
    assert await replay(Patched, patched("new")) is None
    assert SEEN == [[True, False]]
    assert await replay(Patched, patched()) is None and SEEN == [[False, False]]
    assert await replay(Patched, patched("new", deprecated=None)) is None
    assert await replay(Patched, patched("new", deprecated="gone")) is None, "a deprecated patch may be gone"
    failed = await replay(Patched, patched("new", "gone"))
    assert isinstance(failed, NondeterminismError), "one that is not may not"


@workflow.defn
class Near:
    @workflow.run
    async def run(self) -> None:
        SEEN.append(await workflow.execute_activity(say, "far", start_to_close_timeout=SOON))
        SEEN.append(await workflow.execute_local_activity(say, "near", start_to_close_timeout=SOON))
        try:
            await workflow.execute_local_activity(say, "bad", start_to_close_timeout=SOON)
        except (ActivityError, ApplicationError) as error:
            SEEN.append("bad" in str(error.__cause__ or error))


async def test_local_activities_are_answered_by_their_markers() -> None:
    told = Told("Near")
    told.task()
    told.done(told.activity("say", "far"), "far")
    told.task()
    told.local(2, "say", "near")
    told.local(3, "say", failed=failure("bad", nonRetryable=True))
    told.completed()
    assert await replay(Near, told) is None
    assert SEEN == ["far", "near", True]
    told = Told("Near")
    told.task()
    told.local(1, "shout", "near")
    assert isinstance(await replay(Near, told), NondeterminismError)


@workflow.defn
class Short:
    """What is begun and given up within one task leaves no event."""

    @workflow.run
    async def run(self, mine: str) -> None:
        await workflow.wait_condition(lambda: True, timeout=60)
        gone = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        gone.cancel()
        info = workflow.info()
        SEEN.append((mine, info.run_timeout, info.parent and info.parent.workflow_id, dict(workflow.memo())))
        SEEN.append((str(workflow.uuid4()), workflow.random().randint(1, 10**9)))
        workflow.upsert_memo({"b": 2})
        await asyncio.sleep(1)
        workflow.continue_as_new("again")


async def test_what_came_to_nothing_has_no_event_and_chance_is_that_of_the_history() -> None:
    told = Told(
        "Short",
        "x",
        workflowRunTimeout="90s",
        parentWorkflowExecution={"workflowId": "above", "runId": RUN},
        memo={"fields": {"a": payload(1)}},
    )
    told.task()
    told.add("WORKFLOW_PROPERTIES_MODIFIED", upsertedMemo={"fields": {"b": payload(2)}})
    told.fired(told.timer(1))
    told.task()
    told.add("WORKFLOW_EXECUTION_CONTINUED_AS_NEW", newExecutionRunId=RUN, input=payloads("again"))
    assert await replay(Short, told) is None
    facts, chance = SEEN
    assert facts == ("x", timedelta(seconds=90), "above", {"a": 1})
    assert await replay(Short, told) is None and SEEN[1] == chance


def test_chance_is_seeded_as_temporals_sdk_seeds_it() -> None:
    # What a workflow of that run id drew under Temporal's SDK 1.35.
    random = Random(siphash13(b"01a1ff2f-54a3-7b61-b02b-6c827fab5ed0\xff"))
    assert str(UUID(int=random.getrandbits(128), version=4)) == "5883dc81-4d96-41f9-836b-49830251bd32"
    assert random.randint(1, 10**9) == 661_208_704


async def test_a_history_of_what_memflow_has_not_says_so() -> None:
    told = Told("Plain", "a")
    told.add("NEXUS_OPERATION_COMPLETED")
    told.task()
    failed = await replay(Plain, told)
    assert isinstance(failed, NondeterminismError) and "NEXUS_OPERATION_COMPLETED cannot be replayed here" in str(failed)
    told.add("NO_SUCH_THING")
    with pytest.raises(ValueError, match="EVENT_TYPE_NO_SUCH_THING' is no type of history events"):
        WorkflowHistory.from_json("told", told.json())


class Turned(PayloadCodec):
    """Turns the bits of payloads."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"turned"}, data=_turned(each.SerializeToString())) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(_turned(each.data)) for each in payloads]


def _turned(data: bytes) -> bytes:
    return bytes(255 - each for each in data)


async def _encoded(value: Any) -> Any:
    """A history's JSON with every payload encoded."""
    match value:
        case {"metadata": {}, **rest} if set(rest) <= {"data"}:
            return payload_to_json((await Turned().encode([payload_from_json(value)]))[0])
        case dict():
            return {name: each if name == "details" and "data" in each else await _encoded(each) for name, each in value.items()}
        case list():
            return [await _encoded(each) for each in value]
        case _:
            return value


async def test_what_a_payload_codec_has_encoded_is_decoded_first() -> None:
    told = plain()
    history = WorkflowHistory.from_json("told", await _encoded(told.json()))
    converter = DataConverter(payload_codec=Turned())
    for _ in range(2):
        SEEN.clear()
        await Replayer(workflows=[Plain], data_converter=converter).replay_workflow(history)
        assert SEEN[0][0] == ["one", "two"]
    plainly = await Replayer(workflows=[Plain], data_converter=converter).replay_workflow(
        WorkflowHistory.from_json("told", told.json()), raise_on_replay_failure=False
    )
    assert plainly.replay_failure is not None, "the codec cannot read what it has not written"


@workflow.defn
class WaitsAround:
    """A signal's handler that waits for what is already so, beside `run`."""

    @workflow.run
    async def run(self) -> None:
        SEEN.append("run")

    @workflow.signal
    async def put(self, text: str) -> None:
        SEEN.append(f"first {text}")
        await workflow.wait_condition(lambda: True)
        SEEN.append(f"then {text}")


def waits_around(*flags: int) -> Told:
    told = Told("WaitsAround")
    for text in ("a", "b"):
        told.add("WORKFLOW_EXECUTION_SIGNALED", signalName="put", input=payloads(text))
    told.task(flags)
    told.completed()
    return told


async def test_a_history_says_whether_its_tasks_came_in_one_batch() -> None:
    await replay(WaitsAround, waits_around())
    assert SEEN == ["first a", "first b", "then a", "then b", "run"]
    await replay(WaitsAround, waits_around(2))
    assert SEEN == ["first a", "first b", "run", "then a", "then b"]
