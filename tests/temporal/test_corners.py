"""Corners of Temporal's behaviour, each once met as a difference: refusals, errors, handlers, facts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.api.sdk.v1 import EnhancedStackTrace, WorkflowMetadata
from memflow.temporal.client import Client, WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from memflow.temporal.common import Priority, RawValue, RetryPolicy
from memflow.temporal.converter import DefaultPayloadConverter
from memflow.temporal.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    RetryState,
    TimeoutError,
    TimeoutType,
)
from memflow.temporal.worker import Worker

SOON = timedelta(seconds=30)
ONCE = RetryPolicy(maximum_attempts=1)


# ------------------------------------------------------------------------------------------------- what may only look


class Looking:
    @workflow.run
    async def run(self) -> None:
        workflow.set_current_details("where it stands")
        await workflow.wait_condition(lambda: False)

    async def bad(self, how: str) -> str:
        match how:
            case "wait condition":
                await workflow.wait_condition(lambda: True)
            case "start activity":
                workflow.start_activity("any", start_to_close_timeout=SOON)
            case "start child workflow":
                await workflow.start_child_workflow("any", id="child")
            case "random":
                workflow.random()
            case "set query handler":
                workflow.set_query_handler("x", lambda: "y")
            case "patch":
                workflow.patched("p")
            case "add command":
                workflow.upsert_memo({"a": 1})
            case "signal external handle":
                await workflow.get_external_workflow_handle("other").signal("s")
            case "cancel external handle":
                await workflow.get_external_workflow_handle("other").cancel()
            case "schedule timer":
                await asyncio.sleep(1)
            case "schedule task":
                asyncio.ensure_future(asyncio.sleep(1))  # noqa: RUF006 - it is refused
            case "set current details":
                workflow.set_current_details("z")
            case "continue as new":
                workflow.continue_as_new()
            case _:
                return f"{workflow.unsafe.is_replaying()} {workflow.unsafe.is_replaying_history_events()}"
        return "not refused"

    @workflow.signal(dynamic=True)
    def any_signal(self, name: str, args: Sequence[RawValue]) -> None:
        """Takes all."""

    @workflow.update(description="changes it")
    def change(self) -> None:
        """Changes nothing."""


with pytest.warns(DeprecationWarning):                   # of an async query: it is what may wait
    workflow.query(description="does what it may not")(Looking.bad)
workflow.defn(Looking)


async def test_queries_are_refused_what_changes_the_run_in_temporals_words(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Looking]):
        handle = await client.start_workflow(Looking.run, id="looking", task_queue=queue)
        for action in (
            *("wait condition", "start activity", "start child workflow", "random", "set query handler", "patch"),
            *("add command", "signal external handle", "cancel external handle", "schedule timer", "schedule task"),
            *("set current details", "continue as new"),
        ):
            with pytest.raises(WorkflowQueryFailedError) as refused:
                await handle.query(Looking.bad, action)
            assert str(refused.value) == f"While in read-only function, action attempted: {action}"
        assert await handle.query(Looking.bad, "fine") == "True False"
        with pytest.raises(WorkflowQueryFailedError) as unknown:
            await handle.query("missing")
        assert str(unknown.value) == (
            "Query handler for 'missing' expected but not found, known queries:"
            " [__enhanced_stack_trace __stack_trace __temporal_workflow_metadata bad]"
        )


async def test_every_workflow_tells_what_it_can_be_asked_and_where_it_waits(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Looking]):
        handle = await client.start_workflow(Looking.run, id="told", task_queue=queue)
        metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        assert metadata.current_details == "where it stands"
        assert metadata.definition.type == "Looking"
        assert [(each.name, each.description) for each in metadata.definition.query_definitions][-1] == (
            "bad", "does what it may not",
        )
        assert [each.name for each in metadata.definition.signal_definitions] == [""]
        assert [each.description for each in metadata.definition.update_definitions] == ["changes it"]
        stacks: EnhancedStackTrace = await handle.query("__enhanced_stack_trace", result_type=EnhancedStackTrace)
        places = [location for stack in stacks.stacks for location in stack.locations if not location.internal_code]
        assert [location.function_name for location in places] == ["run"]
        assert "class Looking" in stacks.sources[places[0].file_path].content
        assert "in run" in str(await handle.query("__stack_trace"))


# ------------------------------------------------------------------------------------------------- activities


@activity.defn
async def how_urgent() -> int | None:
    return activity.info().priority.priority_key


@workflow.defn
class Urgent:
    @workflow.run
    async def run(self) -> list[int | None]:
        own = await workflow.execute_activity(how_urgent, start_to_close_timeout=SOON, priority=Priority(priority_key=5))
        return [own, await workflow.execute_activity(how_urgent, start_to_close_timeout=SOON)]


async def test_an_activity_has_its_own_priority_or_its_workflows(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Urgent], activities=[how_urgent]):
        urgent = await client.execute_workflow(
            Urgent.run, id="urgent", task_queue=queue, priority=Priority(priority_key=2)
        )
        assert urgent == [5, 2]
        assert await client.execute_workflow(Urgent.run, id="not urgent", task_queue=queue) == [5, None]


@activity.defn
async def behave(how: str) -> Any:
    match how:
        case "unserializable":
            return object()
        case "bad heartbeat":
            activity.heartbeat(object())
        case "cancelled by itself":
            raise asyncio.CancelledError("by itself")
        case "benign":
            raise ApplicationError("harmless", category=ApplicationErrorCategory.BENIGN)
        case "late":
            await asyncio.sleep(60)
        case "hand over":
            if activity.info().attempt == 1:
                activity.heartbeat("first", {"a": 1})
                raise ValueError("again")
            return list(activity.info().heartbeat_details)
        case _:
            raise ValueError(how)


def told(error: BaseException | None) -> list[str]:
    """A chain of errors as text."""
    lines: list[str] = []
    while error is not None:
        lines.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return lines


@workflow.defn
class Caller:
    @workflow.run
    async def run(self, how: str, name: str, local: bool, seconds: float, attempts: int) -> list[Any]:
        policy = RetryPolicy(maximum_attempts=attempts, initial_interval=timedelta(milliseconds=10))
        limit = timedelta(seconds=seconds)
        try:
            if local:
                return [await workflow.execute_local_activity(name, how, schedule_to_close_timeout=limit, retry_policy=policy)]
            return [await workflow.execute_activity(name, how, schedule_to_close_timeout=limit, retry_policy=policy)]
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.category is ApplicationErrorCategory.BENIGN:
                return ["benign"]
            return told(error)
        except (ApplicationError, ValueError) as error:
            return told(error)


async def test_errors_of_activities_reach_their_workflow_as_there(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Caller], activities=[behave]):

        async def called(how: str, *, name: str = "behave", local: bool = False, seconds: float = 30, attempts: int = 1) -> Any:
            return await client.execute_workflow(
                Caller.run, args=[how, name, local, seconds, attempts], id=f"{how}-{name}-{local}-{seconds}", task_queue=queue
            )

        failed, timed_out = "ActivityError: Activity task failed", "ActivityError: Activity task timed out"
        no_json = [failed, "ApplicationError: TypeError: Object of type object is not JSON serializable"]
        assert await called("unserializable") == no_json
        assert await called("bad heartbeat") == no_json
        assert await called("cancelled by itself") == [failed, "ApplicationError: CancelledError: by itself"]
        assert await called("benign") == ["benign"]
        assert await called("late", seconds=0.3) == [timed_out, "TimeoutError: activity ScheduleToClose timeout"]
        assert await called("hand over", attempts=2) == [["first", {"a": 1}]]
        given_up = "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
        assert await called("odd", seconds=0.3, attempts=0) == [
            timed_out, f"TimeoutError: {given_up}", "ApplicationError: ValueError: odd",
        ]
        [_, missing] = await called("x", name="missing")
        assert missing == (
            "ApplicationError: NotFoundError: Activity function missing for workflow x-missing-False-30 is not registered on"
            " this worker, available activities: behave"
        )
        # Of local activities the workflow meets the error itself, and at once one that its worker does not have.
        assert await called("odd", local=True) == ["ApplicationError: ValueError: odd"]
        assert await called("late", local=True, seconds=0.3) == [
            "ActivityError: Local Activity timed out", "TimeoutError: Activity timed out",
        ]
        assert await called("x", name="missing", local=True) == [
            "ValueError: Activity function missing is not registered on this worker, available activities: behave."
        ]


async def test_a_failing_activity_is_logged_with_a_mark(
    client: Client, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Worker(client, task_queue=queue, workflows=[Caller], activities=[behave]):
        arguments = ["odd", "behave", False, 30, 1]
        await client.execute_workflow(Caller.run, args=arguments, id="logged", task_queue=queue)
    [record] = [each for each in caplog.records if each.message.startswith("Completing activity as failed ({'activity_id'")]
    assert vars(record)["__temporal_error_identifier"] == "ActivityFailure"
    assert vars(record)["temporal_activity"]["activity_type"] == "behave"


def test_a_worker_says_what_is_wrong_with_its_activities(client: Client, queue: str) -> None:
    @activity.defn(dynamic=True)
    async def one(args: Sequence[RawValue]) -> None:
        """Takes all."""

    @activity.defn(dynamic=True)
    async def other(args: Sequence[RawValue]) -> None:
        """Takes all, too."""

    @activity.defn
    def threaded() -> None:
        """Runs in a thread."""

    with pytest.raises(TypeError, match="More than one dynamic activity"):
        Worker(client, task_queue=queue, activities=[one, other])
    with concurrent.futures.ThreadPoolExecutor(1) as executor, pytest.warns(UserWarning, match="max_workers is only 1"):
        Worker(client, task_queue=queue, activities=[threaded], activity_executor=executor, max_concurrent_activities=50)


# ------------------------------------------------------------------------------------------------- handlers


@workflow.defn
class Handling:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: "end" in self.seen)
        return self.seen

    with warnings.catch_warnings():                      # the older way, which goes on working
        warnings.simplefilter("ignore", DeprecationWarning)

        @workflow.signal(dynamic=True)
        def any_signal(self, name: str, *args: Any) -> None:
            self.seen += [name, *args]

        @workflow.query(dynamic=True)
        def any_query(self, name: str, *args: Any) -> list[Any]:
            return [name, *args]

    @workflow.update
    async def cancelled_within(self) -> None:
        handle = workflow.start_activity("any", start_to_close_timeout=SOON)
        handle.cancel()
        await handle

    @workflow.update
    async def takes(self, number: int) -> int:
        return number

    @takes.validator
    def check(self, number: int) -> None:
        info = workflow.current_update_info()
        assert info is not None
        assert info.name == "takes"

    @workflow.update
    async def leaves(self) -> None:
        self.seen.append("end")
        await asyncio.sleep(3600)


async def test_handlers_of_any_arguments_and_updates_that_end_otherwise(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Handling]):
        handle = await client.start_workflow(Handling.run, id="handling", task_queue=queue)
        await handle.signal("first", args=[1, {"a": "b"}])
        assert await handle.query("ask", args=["x", [2]]) == ["ask", "x", [2]]
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(Handling.cancelled_within)
        assert isinstance(failed.value.cause, CancelledError)
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update("takes", args=[1, 2])
        assert "takes 2 positional arguments but 3 were given" in str(failed.value.cause)
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update("takes", "no number")
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.message == "Failed decoding arguments"
        assert await handle.execute_update(Handling.takes, 7) == 7
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update("missing")
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == "RuntimeError"
        assert "Update handler for 'missing' expected but not found, and there is no dynamic handler." in str(failed.value.cause)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(WorkflowUpdateFailedError) as failed:
                await handle.execute_update(Handling.leaves, id="left")
            assert isinstance(failed.value.cause, ApplicationError)
            assert failed.value.cause.type == "AcceptedUpdateCompletedWorkflow" and failed.value.cause.non_retryable
            assert await handle.result() == ["first", 1, {"a": "b"}, "end"]
        [warning] = [each for each in warned if issubclass(each.category, workflow.UnfinishedUpdateHandlersWarning)]
        text = str(warning.message)
        assert text.startswith("[TMPRL1102] Workflow finished while update handlers are still running")
        assert text.endswith('[{"name": "leaves", "id": "left"}]')


@workflow.defn
class Closing:
    def __init__(self) -> None:
        self.may_end = self.ended = False

    @workflow.run
    async def run(self) -> str:
        self.may_end = True
        return "returned"

    @workflow.signal
    async def waits(self) -> None:
        await workflow.wait_condition(lambda: self.may_end)
        self.ended = True
        await asyncio.sleep(3600)

    @workflow.query
    def has_ended(self) -> bool:
        return self.ended


async def test_handlers_go_on_in_the_turn_in_which_their_workflow_ends(client: Client, queue: str) -> None:
    handle = await client.start_workflow(Closing.run, id="closing", task_queue=queue, start_signal="waits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", workflow.UnfinishedSignalHandlersWarning)
        async with Worker(client, task_queue=queue, workflows=[Closing], max_cached_workflows=0):
            assert await handle.result() == "returned"
            assert await handle.query(Closing.has_ended), "and so it does when the history is replayed"


# ------------------------------------------------------------------------------------------------- facts and failures


@workflow.defn
class Knowing:
    @workflow.run
    async def run(self) -> list[Any]:
        info = workflow.info()
        policy = info.retry_policy
        last = workflow.get_last_failure()
        if info.attempt == 1:
            raise ApplicationError("the first attempt")
        return [
            str(last),
            info.get_current_history_length(),
            info.get_current_history_size() > 100,
            asyncio.get_running_loop().time() == workflow.time(),
            policy is not None and policy.maximum_interval == timedelta(seconds=1),
            info.get_current_build_id(),
        ]


@workflow.defn
class Failing:
    @workflow.run
    async def run(self) -> NoReturn:
        class Own(ApplicationError):
            """Without a type."""

        try:
            raise ValueError("the reason")
        except ValueError:
            raise Own("no type, and a reason that was being handled")  # noqa: B904 - that is the point


async def test_what_a_workflow_knows_of_itself_and_how_it_fails(client: Client, queue: str) -> None:
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=10))
    async with Worker(client, task_queue=queue, workflows=[Knowing, Failing], build_id="1.0"):
        known = await client.execute_workflow(Knowing.run, id="knowing", task_queue=queue, retry_policy=policy)
        assert known == ["the first attempt", 3, True, True, True, "1.0"]
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(Failing.run, id="failing", task_queue=queue)
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError) and cause.type is None
    assert isinstance(cause.cause, ApplicationError) and str(cause.cause) == "ValueError: the reason"


@workflow.defn(failure_exception_types=[Exception])
class Strict:
    @workflow.run
    async def run(self, number: int) -> int:
        return number


class Refusing(DefaultPayloadConverter):
    """Refuses one value either way, by an error that fails the workflow."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        if "refused" in values:
            raise ApplicationError("refused on its way out")
        return super().to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[Any] | None = None) -> list[Any]:
        if any(b"unreadable" in payload.data for payload in payloads):
            raise ApplicationError("refused on its way in")
        return super().from_payloads(payloads, type_hints)


@workflow.defn
class Passing:
    @workflow.run
    async def run(self, word: str) -> str:
        return await workflow.execute_activity("any", "refused", start_to_close_timeout=SOON)


async def test_arguments_that_cannot_be_converted_fail_the_workflow_where_they_are_to(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Strict]):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow("Strict", "no number", id="strict", task_queue=queue)
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.message == "Failed decoding arguments"
    config = client.config()
    config["data_converter"] = dataclasses.replace(config["data_converter"], payload_converter_class=Refusing)
    refusing = Client(**config)
    async with Worker(refusing, task_queue=f"{queue}-own", workflows=[Passing]):
        for word, direction in (("unreadable", "in"), ("fine", "out")):
            with pytest.raises(WorkflowFailureError) as failed:
                await refusing.execute_workflow(Passing.run, word, id=direction, task_queue=f"{queue}-own")
            assert str(failed.value.cause) == f"refused on its way {direction}"


def test_enums_and_states_are_those_of_temporal() -> None:
    policy = workflow.SandboxImportNotificationPolicy
    assert (policy.WARN_ON_DYNAMIC_IMPORT | policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH).value == 10
    assert int(workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE) == 1
    assert RetryState.CANCEL_REQUESTED == 7
    late = TimeoutError("late", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[1])
    assert late.type is TimeoutType.HEARTBEAT
    with pytest.raises(TypeError, match="namespace"):
        workflow.unsafe()
