"""Schedules with their whole spec, and cron."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from memflow.temporal import workflow
from memflow.temporal.client import (
    Client,
    RPCError,
    RPCStatusCode,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from memflow.temporal.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from memflow.temporal.testing import WorkflowEnvironment
from memflow.temporal.worker import Worker
from tests.polling import until

OWNER = SearchAttributeKey.for_keyword("Owner")


@workflow.defn
class Limits:
    @workflow.run
    async def run(self) -> list[object]:
        limit = workflow.info().run_timeout
        return [None if limit is None else limit.total_seconds(), dict(workflow.memo())]


@workflow.defn
class Report:
    @workflow.run
    async def run(self, region: str = "all") -> str:
        return f"{region}"


def of(queue: str, spec: ScheduleSpec, **more: object) -> Schedule:
    action = ScheduleActionStartWorkflow(
        Report.run, "eu", id="report", task_queue=queue, static_summary="the report", run_timeout=timedelta(minutes=5)
    )
    return Schedule(action, spec, **more)  # type: ignore[arg-type]


async def test_a_schedule_is_created_described_changed_and_deleted(client: Client, queue: str) -> None:
    spec = ScheduleSpec(
        calendars=[
            ScheduleCalendarSpec(
                hour=(ScheduleRange(9),),
                day_of_week=(ScheduleRange(1, 5),),
                minute=(ScheduleRange(0, 30, 30),),
                comment="work",
            )
        ],
        intervals=[ScheduleIntervalSpec(every=timedelta(hours=12), offset=timedelta(hours=1))],
        cron_expressions=["0 4 * * SUN"],
        skip=[
            ScheduleCalendarSpec(month=(ScheduleRange(12),), day_of_month=(ScheduleRange(25),), hour=(ScheduleRange(0, 23),))
        ],
        start_at=datetime(2026, 1, 1, tzinfo=UTC),
        jitter=timedelta(seconds=10),
        time_zone_name="Europe/Berlin",
    )
    handle = await client.create_schedule(
        "whole",
        of(
            queue,
            spec,
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=timedelta(minutes=5)),
            state=ScheduleState(note="quiet", paused=True, limited_actions=True, remaining_actions=30),
        ),
        memo={"why": "because"},
        search_attributes=TypedSearchAttributes([SearchAttributePair(OWNER, "ann")]),
    )
    found = await handle.describe()
    sundays = ScheduleCalendarSpec(hour=(ScheduleRange(4),), day_of_week=(ScheduleRange(0),))
    shown = dataclasses.replace(spec, cron_expressions=[], calendars=[*spec.calendars, sundays])
    assert found.id == "whole" and found.schedule.spec == shown
    assert found.schedule.policy == SchedulePolicy(ScheduleOverlapPolicy.BUFFER_ONE, timedelta(minutes=5), False)
    assert found.schedule.state == ScheduleState("quiet", True, True, 30)
    action = found.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert (action.workflow, action.id, action.task_queue) == ("Report", "report", queue)
    assert action.run_timeout == timedelta(minutes=5)
    assert await client.data_converter.decode([action.args[0], action.static_summary], [str, str]) == ["eu", "the report"]  # type: ignore[list-item]
    assert await found.memo() == {"why": "because"}
    assert found.typed_search_attributes[OWNER] == "ann"
    assert len(found.info.next_action_times) > 3

    with pytest.raises(ScheduleAlreadyRunningError):
        await client.create_schedule("whole", of(queue, spec))

    async def change(input: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = input.description.schedule
        schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=1))])
        schedule.state.note = "changed"
        return ScheduleUpdate(schedule=schedule)

    await handle.update(change)
    changed = await handle.describe()
    assert changed.schedule.spec == ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=1))])
    assert changed.schedule.state.note == "changed" and changed.schedule.state.paused
    assert await changed.memo() == {"why": "because"}
    await handle.unpause(note="go")
    assert (await handle.describe()).schedule.state.paused is False
    await handle.pause()
    assert (await handle.describe()).schedule.state.paused is True
    listed = [each async for each in await client.list_schedules()]
    assert [each.id for each in listed] == ["whole"]
    assert listed[0].schedule is not None and listed[0].schedule.state.paused
    await handle.delete()
    with pytest.raises(RPCError) as missing:
        await handle.describe()
    assert missing.value.status == RPCStatusCode.NOT_FOUND


async def test_a_schedule_is_triggered_and_backfilled(client: Client, queue: str) -> None:
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))])
    now = datetime.now(UTC)
    async with Worker(client, task_queue=queue, workflows=[Report]):
        handle = await client.create_schedule(
            "acting", of(queue, spec, state=ScheduleState(paused=True)), trigger_immediately=True
        )
        await handle.backfill(
            ScheduleBackfill(now - timedelta(days=3), now - timedelta(hours=1), ScheduleOverlapPolicy.ALLOW_ALL)
        )
        await handle.trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)

        async def acted() -> bool:
            return (await handle.describe()).info.num_actions >= 4

        await until(acted, seconds=20)
        action = (await handle.describe()).info.recent_actions[-1].action
        assert isinstance(action, ScheduleActionExecutionStartWorkflow)
        result = await client.get_workflow_handle(action.workflow_id, result_type=str).result()
        assert result == "eu"


async def test_times_without_a_zone_are_in_utc(client: Client, queue: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    start, end = now - timedelta(days=30), now + timedelta(days=30)
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))], start_at=start, end_at=end)

    def past(days: int, overlap: ScheduleOverlapPolicy | None = ScheduleOverlapPolicy.ALLOW_ALL) -> ScheduleBackfill:
        return ScheduleBackfill(now - timedelta(days=days), now - timedelta(days=days - 1), overlap)

    handle = await client.create_schedule(
        "zoneless", of(queue, spec, state=ScheduleState(paused=True)), backfill=[past(9), past(7, None)]
    )
    await handle.backfill(past(5))

    async def acted() -> bool:
        return (await handle.describe()).info.num_actions >= 3

    async with Worker(client, task_queue=queue, workflows=[Report]):
        await until(acted, seconds=20)
    found = (await handle.describe()).schedule.spec
    assert (found.start_at, found.end_at) == (start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))


@workflow.defn
class Recurring:
    @workflow.run
    async def run(self) -> int:
        before = workflow.get_last_completion_result(int)
        assert workflow.has_last_completion_result() == (before is not None)
        if before == 2 and workflow.get_last_failure() is None:
            raise workflow_error()
        return (before or 0) + 1


def workflow_error() -> Exception:
    from memflow.temporal.exceptions import ApplicationError

    return ApplicationError("the third time")


@pytest.fixture
async def env(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkflowEnvironment]:
    monkeypatch.setenv("MEMFLOW_TEST_DSN", dsn)
    async with await WorkflowEnvironment.start_time_skipping() as made:
        yield made


async def test_cron_runs_again_and_again_with_what_was_before(env: WorkflowEnvironment) -> None:
    client = env.client
    async with Worker(client, task_queue="q", workflows=[Recurring]):
        handle = await client.start_workflow(Recurring.run, id="cron", task_queue="q", cron_schedule="0 * * * *")
        await env.sleep(timedelta(hours=5, minutes=30))
        runs = [each async for each in client.list_workflows("WorkflowId = 'cron'")]
        statuses = [each.status.name for each in reversed(runs) if each.status is not None]
        assert statuses[:4] == ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED"]
        assert len(statuses) >= 5 and statuses[-1] == "RUNNING"
        first = await handle.result(follow_runs=False)
        assert first == 1
        assert (await client.get_workflow_handle("cron", run_id=runs[-4].run_id).result(follow_runs=False)) == 3
        await client.get_workflow_handle("cron").terminate()
    with pytest.raises(RPCError) as wrong:
        await client.start_workflow(Recurring.run, id="wrong", task_queue="q", cron_schedule="every full moon")
    assert wrong.value.status == RPCStatusCode.INVALID_ARGUMENT
    await asyncio.sleep(0)


async def test_runs_are_named_by_the_id_of_the_action_and_know_the_longest_they_may_take(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Limits]):
        action = ScheduleActionStartWorkflow(
            Limits.run, id="weekly", task_queue=queue, execution_timeout=timedelta(hours=1), memo={"why": [1]}
        )
        handle = await client.create_schedule("named", Schedule(action, ScheduleSpec()), trigger_immediately=True)

        async def fired() -> bool:
            return bool((await handle.describe()).info.recent_actions)

        await until(fired)
        [done] = (await handle.describe()).info.recent_actions
        assert isinstance(done.action, ScheduleActionExecutionStartWorkflow)
        assert done.action.workflow_id.startswith("weekly-20")
        assert await client.get_workflow_handle(done.action.workflow_id).result() == [3600.0, {"why": [1]}]
        # What was described goes back as it is.
        await handle.update(lambda input: ScheduleUpdate(input.description.schedule))
        again = (await handle.describe()).schedule
        assert isinstance(again.action, ScheduleActionStartWorkflow) and again.action.memo is not None
        assert again.action.memo["why"].data == b"[1]"


async def test_a_spec_without_any_time_is_for_triggers_alone(client: Client, queue: str) -> None:
    handle = await client.create_schedule("idle", of(queue, ScheduleSpec()))
    found = await handle.describe()
    assert found.schedule.spec == ScheduleSpec() and found.info.next_action_times == []
    with pytest.raises(ScheduleAlreadyRunningError):
        await client.create_schedule("idle", of(queue, ScheduleSpec()))


async def test_a_schedule_that_is_not_there_says_so(client: Client) -> None:
    handle = client.get_schedule_handle("nobody")
    for call in (handle.describe, handle.pause, handle.unpause, handle.trigger, handle.delete):
        with pytest.raises(RPCError, match="temporal-sys-scheduler:nobody") as missing:
            await call()
        assert missing.value.status is RPCStatusCode.NOT_FOUND and missing.value.__cause__ is None


async def test_limits_without_actions_are_refused(client: Client, queue: str) -> None:
    for state, said in (
        (ScheduleState(limited_actions=True), "are no remaining actions set"),
        (ScheduleState(remaining_actions=3), "are remaining actions set"),
    ):
        with pytest.raises(ValueError, match=said):
            await client.create_schedule("limits", of(queue, ScheduleSpec(), state=state))


async def test_a_trigger_shows_in_the_next_description(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Report]):
        handle = await client.create_schedule(
            "soon", of(queue, ScheduleSpec(), state=ScheduleState(paused=True)), trigger_immediately=True
        )
        assert (await handle.describe()).info.num_actions == 1


async def test_schedules_are_listed_by_what_they_are(client: Client, queue: str) -> None:
    for name, paused in (("ann", True), ("bob", False)):
        await client.create_schedule(
            f"of-{name}",
            of(queue, ScheduleSpec(), state=ScheduleState(paused=paused)),
            search_attributes=TypedSearchAttributes([SearchAttributePair(OWNER, name)]),
        )

    async def ids(query: str) -> list[str]:
        return sorted([each.id async for each in await client.list_schedules(query)])

    assert await ids("Owner = 'ann'") == ["of-ann"]
    assert await ids("Owner in ('ann', 'bob') and not TemporalSchedulePaused = true") == ["of-bob"]
    assert await ids("Owner starts_with 'b' or (ScheduleId = 'of-ann' and Owner is not null)") == ["of-ann", "of-bob"]
    with pytest.raises(RPCError, match="expected a value"):
        await ids("Owner = ann")


async def test_untyped_and_typed_attributes_of_an_action_both_count(client: Client, queue: str) -> None:
    schedule = of(queue, ScheduleSpec(), state=ScheduleState(paused=True))
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    action.typed_search_attributes = TypedSearchAttributes([SearchAttributePair(OWNER, "ann")])
    action.untyped_search_attributes = {"Region": ["eu"]}
    handle = await client.create_schedule("both", schedule)
    found = (await handle.describe()).schedule.action
    assert isinstance(found, ScheduleActionStartWorkflow)
    assert {pair.key.name: pair.value for pair in found.typed_search_attributes} == {"Owner": "ann", "Region": "eu"}
