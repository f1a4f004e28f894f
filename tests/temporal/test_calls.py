"""What a client's calls answer, down to the words of their errors: as Temporal's server has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from memflow import Client as EngineClient
from memflow.codec import Encryption
from memflow.temporal import workflow
from memflow.temporal.client import (
    Client,
    RPCError,
    RPCStatusCode,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from memflow.temporal.common import (
    QueryRejectCondition,
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from memflow.temporal.exceptions import ApplicationError, TerminatedError, WorkflowAlreadyStartedError
from memflow.temporal.startup import Startup
from memflow.temporal.worker import Worker
from tests.polling import until


@workflow.defn
class Cart:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.closed = False

    @workflow.run
    async def run(self, first: str = "") -> list[str]:
        if first:
            self.items.append(f"run {first}")
        await workflow.wait_condition(lambda: self.closed)
        return self.items

    @workflow.update
    async def add(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check(self, item: str) -> None:
        if not item:
            raise ValueError("nothing to add")

    @workflow.update
    async def never(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.query
    def shown(self) -> list[str]:
        return self.items

    @workflow.query
    def broken(self) -> None:
        raise ValueError("no answer")


@workflow.defn
class Chain:
    """Goes on as new once it is told to, and waits for the end in its second run."""

    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.go)
        if workflow.info().continued_run_id is None:
            workflow.continue_as_new()
        return "second"

    @workflow.signal
    def next(self) -> None:
        self.go = True


@workflow.defn
class Asleep:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(3600)


@pytest.fixture
async def served(client: Client, queue: str) -> AsyncIterator[Client]:
    async with Worker(client, task_queue=queue, workflows=[Cart, Chain, Asleep]):
        yield client


def opened(
    queue: str, id: str, policy: WorkflowIDConflictPolicy = WorkflowIDConflictPolicy.FAIL
) -> WithStartWorkflowOperation[Any, Any]:
    return WithStartWorkflowOperation(Cart.run, "one", id=id, task_queue=queue, id_conflict_policy=policy)


# ------------------------------------------------------------------------------------------------- update with start


async def test_the_update_that_comes_with_a_start_is_before_run(served: Client, queue: str) -> None:
    operation = opened(queue, "cart")
    added = await served.execute_update_with_start_workflow(Cart.add, "egg", start_workflow_operation=operation)
    assert added == 1
    handle = await operation.workflow_handle()
    assert handle.first_execution_run_id is not None and handle.run_id is None
    assert await handle.query(Cart.shown) == ["egg", "run one"]


async def test_a_refused_start_sends_no_update(served: Client, queue: str) -> None:
    await served.execute_update_with_start_workflow(Cart.add, "egg", start_workflow_operation=opened(queue, "cart"))
    refused = opened(queue, "cart")
    with pytest.raises(WorkflowAlreadyStartedError) as taken:
        await served.execute_update_with_start_workflow(Cart.add, "ham", start_workflow_operation=refused)
    assert taken.value.__cause__ is None
    with pytest.raises(WorkflowAlreadyStartedError):
        await refused.workflow_handle()
    assert await served.get_workflow_handle("cart").query(Cart.shown) == ["egg", "run one"]


async def test_a_result_is_waited_for_beyond_the_timeout_of_single_calls(served: Client, queue: str) -> None:
    handle = await served.start_workflow(Cart.run, "one", id="cart", task_queue=queue)
    waiting = asyncio.create_task(handle.result(rpc_timeout=timedelta(milliseconds=1)))
    assert await handle.query(Cart.shown) == ["run one"]
    assert not waiting.done()
    await handle.signal(Cart.close)
    await waiting


@pytest.mark.parametrize("policy", [WorkflowIDConflictPolicy.FAIL, WorkflowIDConflictPolicy.USE_EXISTING])
async def test_an_update_that_is_known_is_not_sent_again_with_a_start(
    served: Client, queue: str, policy: WorkflowIDConflictPolicy
) -> None:
    first = opened(queue, "cart", policy)
    assert await served.execute_update_with_start_workflow(Cart.add, "egg", id="one", start_workflow_operation=first) == 1
    again = opened(queue, "cart", policy)
    assert await served.execute_update_with_start_workflow(Cart.add, "egg", id="one", start_workflow_operation=again) == 1
    handle, same = await first.workflow_handle(), await again.workflow_handle()
    assert handle.first_execution_run_id == same.first_execution_run_id
    waits = await served.start_update_with_start_workflow(
        Cart.never,
        id="never",
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        start_workflow_operation=opened(queue, "cart", WorkflowIDConflictPolicy.USE_EXISTING),
    )
    with pytest.warns(RuntimeWarning, match="never"):
        await handle.signal(Cart.close)
        await handle.result()
    # One that was answered is known also when its workflow has ended; one that never was begins a new workflow.
    ended = opened(queue, "cart", policy)
    assert await served.execute_update_with_start_workflow(Cart.add, "egg", id="one", start_workflow_operation=ended) == 1
    assert (await ended.workflow_handle()).first_execution_run_id == handle.first_execution_run_id
    anew = opened(queue, "cart", policy)
    assert await served.execute_update_with_start_workflow(Cart.add, "fig", id=waits.id, start_workflow_operation=anew) == 1
    assert (await anew.workflow_handle()).first_execution_run_id != handle.first_execution_run_id


async def test_an_update_with_start_uses_or_replaces_the_open_workflow_as_the_policy_says(served: Client, queue: str) -> None:
    first, use = opened(queue, "cart"), opened(queue, "cart", WorkflowIDConflictPolicy.USE_EXISTING)
    await served.execute_update_with_start_workflow(Cart.add, "egg", start_workflow_operation=first)
    handle = await served.start_update_with_start_workflow(
        Cart.add, "ham", start_workflow_operation=use, wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    assert await handle.result() == 3
    run_id = (await first.workflow_handle()).first_execution_run_id
    assert (await use.workflow_handle()).first_execution_run_id == handle.workflow_run_id == run_id
    anew = opened(queue, "cart", WorkflowIDConflictPolicy.TERMINATE_EXISTING)
    assert await served.execute_update_with_start_workflow(Cart.add, "fig", start_workflow_operation=anew) == 1
    with pytest.raises(WorkflowFailureError) as ended:
        await (await first.workflow_handle()).result()
    assert isinstance(ended.value.cause, TerminatedError)


async def test_a_rejected_update_leaves_the_workflow_that_came_with_it(served: Client, queue: str) -> None:
    operation = opened(queue, "cart")
    with pytest.raises(WorkflowUpdateFailedError) as rejected:
        await served.execute_update_with_start_workflow(Cart.add, "", start_workflow_operation=operation)
    assert isinstance(rejected.value.cause, ApplicationError) and rejected.value.cause.type == "ValueError"
    assert await (await operation.workflow_handle()).query(Cart.shown) == ["run one"]


async def test_of_many_updates_with_start_one_starts_and_all_are_answered(served: Client, queue: str) -> None:
    use = WorkflowIDConflictPolicy.USE_EXISTING
    counts = await asyncio.gather(
        *(
            served.execute_update_with_start_workflow(
                Cart.add, str(number), start_workflow_operation=opened(queue, "cart", use), id=f"u-{number}"
            )
            for number in range(12)
        )
    )
    assert len(set(counts)) == 12
    again = await served.execute_update_with_start_workflow(
        Cart.add, "0", start_workflow_operation=opened(queue, "cart", use), id="u-0"
    )
    assert again == counts[0], "the same id is the same update"


async def test_the_start_needs_a_policy_and_is_used_once(served: Client, queue: str) -> None:
    with pytest.raises(ValueError, match="WorkflowIDConflictPolicy is required"):
        opened(queue, "cart", WorkflowIDConflictPolicy.UNSPECIFIED)
    operation = opened(queue, "cart")
    await served.execute_update_with_start_workflow(Cart.add, "egg", start_workflow_operation=operation)
    with pytest.raises(RuntimeError, match="cannot be reused"):
        await served.execute_update_with_start_workflow(Cart.add, "egg", start_workflow_operation=operation)


# ------------------------------------------------------------------------------------------------- which run is meant


async def gone_on(client: Client, queue: str) -> WorkflowHandle[Chain, str]:
    """A handle of a start whose workflow has continued as new since."""
    handle = await client.start_workflow(Chain.run, id="chain", task_queue=queue)
    await handle.signal(Chain.next)

    async def second() -> bool:
        return (await handle.describe()).run_id != handle.first_execution_run_id

    await until(second)
    return handle


async def test_signals_and_cancels_of_a_started_handle_reach_the_run_that_goes_on(served: Client, queue: str) -> None:
    handle = await gone_on(served, queue)
    await handle.signal(Chain.next)
    assert await handle.result() == "second"
    await handle.cancel()                        # it has ended, which is what was wanted


async def test_a_handle_of_one_run_means_that_run_alone(served: Client, queue: str) -> None:
    handle = await gone_on(served, queue)
    first = served.get_workflow_handle("chain", run_id=handle.first_execution_run_id)
    for call in (first.signal(Chain.next), first.terminate(), first.execute_update("any")):
        with pytest.raises(RPCError, match="workflow execution already completed") as closed:
            await call
        assert closed.value.status is RPCStatusCode.NOT_FOUND and closed.value.__cause__ is None
    first_chain = served.get_workflow_handle("chain", first_execution_run_id=handle.first_execution_run_id)
    await first_chain.terminate()
    with pytest.raises(WorkflowFailureError):
        await handle.result()


# ------------------------------------------------------------------------------------------------- ends and errors


@pytest.mark.parametrize("sealed", [False, True])
async def test_whoever_waits_gets_the_details_of_a_termination(dsn: str, schema: str, queue: str, sealed: bool) -> None:
    more: dict[str, Any] = {"codec": Encryption(keys={"k": b"k" * 32}, active="k")} if sealed else {}
    engine = await EngineClient.connect(dsn, schema=schema, **more)
    async with Client.from_memflow(engine) as client, Worker(client, task_queue=queue, workflows=[Asleep]):
        told = await client.start_workflow(Asleep.run, id="told", task_queue=queue)
        await told.terminate("it", {"was": 2}, reason="late")
        silent = await client.start_workflow(Asleep.run, id="silent", task_queue=queue)
        await silent.terminate()
        with pytest.raises(WorkflowFailureError) as ended:
            await told.result()
        assert isinstance(ended.value.cause, TerminatedError)
        assert (ended.value.cause.message, list(ended.value.cause.details)) == ("late", ["it", {"was": 2}])
        with pytest.raises(WorkflowFailureError) as ended:
            await silent.result()
        assert isinstance(ended.value.cause, TerminatedError)
        assert (ended.value.cause.message, list(ended.value.cause.details)) == ("terminated by user via frontend", [])


async def test_what_is_not_there_is_told_in_temporals_words(served: Client, queue: str) -> None:
    nobody = served.get_workflow_handle("nobody")
    for call in (nobody.result(), nobody.describe(), nobody.cancel(), nobody.terminate(), nobody.signal("x"), nobody.query("x")):
        with pytest.raises(RPCError, match="workflow not found for ID: nobody") as missing:
            await call
        assert missing.value.status is RPCStatusCode.NOT_FOUND and missing.value.__cause__ is None
    await served.start_workflow(Asleep.run, id="some", task_queue=queue)
    with pytest.raises(RPCError, match='for workflow ID "some" and run ID'):
        await served.get_workflow_handle("some", run_id=str(uuid4())).describe()
    with pytest.raises(RPCError, match='update "u" not found'):
        await served.get_workflow_handle("some").get_update_handle("u").result()
    with pytest.raises(RPCError, match="may not be used together") as refused:
        await served.start_workflow(
            Asleep.run, id="other", task_queue=queue, cron_schedule="* * * * *", start_delay=timedelta(seconds=1)
        )
    assert refused.value.status is RPCStatusCode.INVALID_ARGUMENT


async def test_failed_queries_and_updates_tell_why(served: Client, queue: str) -> None:
    handle = await served.start_workflow(Cart.run, id="cart", task_queue=queue)
    with pytest.raises(WorkflowQueryFailedError, match=r"^no answer$") as failed:
        await handle.query(Cart.broken)
    assert failed.value.__cause__ is None
    with pytest.raises(WorkflowQueryFailedError, match=r"Query handler for 'what' expected but not found, known queries: \["):
        await handle.query("what")
    with pytest.raises(WorkflowUpdateFailedError) as unknown:
        await handle.execute_update("what")
    assert unknown.value.__cause__ is unknown.value.cause
    assert isinstance(unknown.value.cause, ApplicationError) and unknown.value.cause.type == "RuntimeError"
    assert unknown.value.cause.message == (
        "Update handler for 'what' expected but not found, and there is no dynamic handler. known updates: [add never]"
    )
    waiting = await handle.start_update(Cart.never, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError) as late:
        await waiting.result(rpc_timeout=timedelta(milliseconds=50))
    assert isinstance(late.value.__cause__, RPCError) and late.value.__cause__.status is RPCStatusCode.CANCELLED
    with pytest.warns(RuntimeWarning, match="never"):
        await handle.signal(Cart.close)
        await handle.result()
    with pytest.raises(WorkflowUpdateFailedError) as left:
        await waiting.result()
    assert isinstance(left.value.cause, ApplicationError) and left.value.cause.type == "AcceptedUpdateCompletedWorkflow"
    with pytest.raises(WorkflowQueryRejectedError, match="status: 2"):
        await handle.query(Cart.shown, reject_condition=QueryRejectCondition.NOT_OPEN)


# ------------------------------------------------------------------------------------------------- lists


async def test_lists_are_ordered_by_postgres_and_find_what_lists_hold(served: Client, queue: str) -> None:
    colours = SearchAttributeKey.for_keyword_list("Colours")
    for number, held in enumerate((["red"], ["red", "blue"], ["green"])):
        handle = await served.start_workflow(
            Asleep.run,
            id=f"w-{number}",
            task_queue=queue,
            search_attributes=TypedSearchAttributes([SearchAttributePair(colours, held)]),
        )
        if number != 1:
            await handle.terminate()

    async def ids(query: str) -> list[str]:
        return [each.id async for each in served.list_workflows(query)]

    assert await ids("WorkflowType = 'Asleep' ORDER BY WorkflowId") == ["w-0", "w-1", "w-2"]
    assert await ids("WorkflowType = 'Asleep' ORDER BY CloseTime DESC") == ["w-1", "w-2", "w-0"]
    assert (await ids("TaskQueue STARTS_WITH 'queue' ORDER BY ExecutionStatus ASC"))[0] == "w-1"
    assert len(await ids("ORDER BY RunId")) == len(await ids("ORDER BY HistoryLength DESC")) == 3
    assert sorted(await ids("Colours = 'red'")) == ["w-0", "w-1"]
    assert await ids("Colours IN ('blue', 'black')") == ["w-1"]
    assert await ids("ExecutionStatus = 1") == ["w-1"]
    pages = served.list_workflows("ORDER BY WorkflowId", page_size=2)
    assert pages.next_page_token is None
    await pages.fetch_next_page()
    assert [each.id for each in pages.current_page or ()] == ["w-0", "w-1"] and pages.next_page_token is not None


async def test_a_start_knows_what_follows_from_its_options(served: Client, queue: str) -> None:
    handle = await served.start_workflow(
        Asleep.run,
        id="some",
        task_queue=queue,
        execution_timeout=timedelta(hours=2),
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=2)),
    )
    startup = Startup.of((await handle.describe()).raw_info.headers)
    assert startup.run_timeout == timedelta(hours=2)
    assert startup.retry_policy is not None and startup.retry_policy.maximum_interval == timedelta(seconds=200)


async def test_a_start_says_that_it_was_not_eager(client: Client, queue: str) -> None:
    handle = await client.start_workflow("Any", id="eager", task_queue=queue, request_eager_start=True)
    assert getattr(handle, "__temporal_eagerly_started") is False


# ------------------------------------------------------------------------------------------------- updates that nobody waits for


async def test_a_cancelled_wait_for_an_update_is_told_as_such(served: Client, queue: str) -> None:
    handle = await served.start_workflow(Cart.run, id="given up", task_queue=queue)
    sent = await handle.start_update(Cart.never, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    for wait in (sent.result(), handle.execute_update(Cart.never, id="second")):
        task = asyncio.create_task(wait)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(task)
        task.cancel()
        with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError) as told:
            await task
        assert isinstance(told.value.__cause__, asyncio.CancelledError)


async def test_an_update_for_a_chain_that_another_has_followed_finds_nobody(served: Client, queue: str) -> None:
    first = await served.start_workflow(Cart.run, id="followed", task_queue=queue)
    await first.signal(Cart.close)
    await first.result()
    with pytest.raises(RPCError) as ended:
        await first.execute_update(Cart.add, "egg")
    assert (ended.value.status, str(ended.value)) == (RPCStatusCode.NOT_FOUND, "workflow execution already completed")
    await served.start_workflow(Cart.run, id="followed", task_queue=queue)
    with pytest.raises(RPCError) as gone:
        await first.execute_update(Cart.add, "egg")
    assert (gone.value.status, str(gone.value)) == (RPCStatusCode.NOT_FOUND, "workflow execution not found")


async def test_a_time_limit_of_nothing_is_none(served: Client, queue: str) -> None:
    none = timedelta()
    handle = await served.start_workflow(
        Cart.run, id="unlimited", task_queue=queue, execution_timeout=none, run_timeout=none, task_timeout=none
    )
    await handle.signal(Cart.close)
    assert await handle.result() == []
