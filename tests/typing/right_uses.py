"""Right uses, as both type checkers must see them. Read by `test_typing.py`, never run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol, assert_type
from uuid import UUID

from memflow import RetryPolicy, Worker, activity, workflow
from memflow.client import (
    ActivityHandle,
    Client,
    Escalation,
    Progress,
    ScheduleCalendar,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleInterval,
    ScheduleSpec,
)
from memflow.client.handle import Handle
from memflow.client.updates import UpdateHandle
from memflow.codec import Compression, Encryption, JsonCodec, Payload
from memflow.interceptors import ActivityInbound, ContextPropagator, ExecuteActivityInput, Interceptor, WorkerInterceptor
from memflow_testing import (
    ActivityEnvironment,
    CrashReport,
    Explored,
    Replayer,
    WorkflowEnvironment,
    crash_everywhere,
    explore,
    replacing,
)
from tests.typing import shop


@dataclass
class Order:
    id: str


@activity.defn
async def charge(order: Order, cents: int = 100) -> bool:
    return cents > 0


@activity.defn(name="weigh", retry=RetryPolicy(maximum_attempts=3), start_to_close_timeout="30 seconds", task_queue="scales")
def weigh(item: str) -> float:
    return 1.0


class Mail:
    @activity.defn
    async def send(self, to: str, copies: int = 1) -> str:
        return to

    @activity.defn(heartbeat_timeout=timedelta(seconds=5))
    def count(self) -> int:
        return 1

    async def plain(self, number: int) -> list[str]:
        return []


class Elsewhere(Protocol):
    async def translate(self, text: str) -> str: ...


async def undecorated(number: int, text: str = "") -> bytes:
    return b""


def sync_undecorated(number: int) -> bytes:
    return b""


async def calling_outside() -> None:
    assert_type(await charge(Order("a"), cents=5), bool)
    assert_type(await weigh("a"), float)
    assert_type(await Mail().send("bob", copies=2), str)
    assert_type(await Mail().count(), int)


@workflow.defn
async def child(order: Order, times: int = 1) -> dict[str, int]:
    return {order.id: times}


@workflow.defn(name="Ship", failure_exception_types=[ValueError])
class Ship:
    @workflow.init
    def __init__(self, order: Order) -> None:
        self.order = order

    @workflow.run
    async def run(self, order: Order) -> int:
        return 1


@workflow.defn
async def calls(mail: Mail) -> None:
    assert_type(await charge(Order("a")), bool)
    assert_type(await charge.options(task_queue="x", retry=RetryPolicy(1, 2.0))(Order("a"), 1), bool)
    assert_type(await mail.send("bob"), str)
    left, right = await asyncio.gather(charge(Order("a")), mail.send("bob"))
    assert_type(left, bool)
    assert_type(right, str)

    assert_type(await workflow.execute_activity(charge, Order("a"), 5), bool)
    assert_type(await workflow.execute_activity(charge, Order("a"), start_to_close_timeout="5s"), bool)
    assert_type(await workflow.execute_activity(undecorated, 1, "x", task_queue="q"), bytes)
    assert_type(await workflow.execute_activity(sync_undecorated, 1), bytes)
    assert_type(await workflow.execute_activity(Mail.send, "bob"), str)
    assert_type(await workflow.execute_activity(mail.send, "bob", 3), str)
    assert_type(await workflow.execute_activity("by name", args=[1], result_type=Order), Order)
    assert_type(await workflow.execute_activity("by name", 1, 2), Any)
    task = workflow.start_activity(charge, Order("a"))
    assert_type(task, asyncio.Task[bool])
    assert_type(await task, bool)
    assert_type(await workflow.start_activity("by name", result_type=str), str)


async def proxies() -> None:
    mail = workflow.proxy_activities(Mail, task_queue="mail", throw_on_error=False)
    assert_type(mail, Mail)
    assert_type(await mail.send("bob"), str)
    assert_type(await mail.count(), int)
    assert_type(await mail.plain(1), list[str])
    assert_type(await workflow.proxy_activities(Mail()).send("bob"), str)
    one = workflow.proxy_activities(charge, retry=RetryPolicy(), headers={"a": "b"})
    assert_type(await one(Order("a"), cents=5), bool)
    stub = workflow.proxy_activities(undecorated, cancellation_type="abandon")
    assert_type(await stub(1, text="x"), bytes)
    elsewhere = workflow.proxy_activities(Elsewhere, task_queue="elsewhere")
    assert_type(elsewhere, Elsewhere)
    assert_type(await elsewhere.translate("hi"), str)
    first, second = workflow.proxy_activities(charge, weigh, schedule_to_close_timeout=5)
    assert_type(await first(Order("a")), bool)
    assert_type(await second("x"), float)
    module = workflow.proxy_activities(shop, task_queue="shop")
    await module.check("tea")


async def children() -> None:
    handle = await workflow.start_child(child, Order("a"), 2, id="c", parent_close_policy="abandon")
    same: workflow.ChildHandle[dict[str, int]] = handle
    assert_type(await same, dict[str, int])
    assert_type(await handle.result(), dict[str, int])
    assert_type(handle.id, str)
    assert_type(await workflow.execute_child(child, Order("a")), dict[str, int])
    assert_type(await workflow.execute_child(Ship.run, Order("a"), cancellation_type=workflow.CancellationType.ABANDON), int)
    assert_type(await workflow.execute_child("by name", args=[1], result_type=Order), Order)
    assert_type(await (await workflow.start_child("by name", 1)), Any)


async def waiting() -> None:
    assert_type(await workflow.wait_for("x", type=bool), bool)
    assert_type(await workflow.wait_for("x", type=list[int], timeout="1 hour"), list[int])
    assert_type(await workflow.wait_for("x", type=Order, timeout=5, default=None), Order | None)
    assert_type(await workflow.wait_for("x"), Any)
    optional: int | None = await workflow.wait_for("x", type=int | None)
    assert_type(optional, int | None)
    assert_type(await workflow.wait_for("x", timeout=5), Any)
    assert_type(await workflow.sleep_for("1 week"), float)
    assert_type(await workflow.sleep_until(workflow.now() + timedelta(days=1)), float)
    await workflow.wait_condition(lambda: True, timeout=timedelta(hours=1))
    assert_type(workflow.now(), datetime)
    assert_type(workflow.time(), float)
    assert_type(workflow.random(), Random)
    assert_type(workflow.uuid4(), UUID)
    assert_type(workflow.info(), workflow.RunInfo)


def inside_an_activity() -> None:
    info = activity.info()
    assert_type(info.attempt, int)
    assert_type(info.idempotency_key, str)
    assert_type(info.deadline, datetime | None)
    assert_type(activity.is_cancelled(), bool)
    activity.heartbeat(1, {"a": 2})


def policies() -> None:
    assert_type(RetryPolicy("1 second", non_retryable_error_types=[ValueError, "BadCard"]).initial_interval, timedelta)
    assert_type(RetryPolicy().maximum_interval, timedelta | None)


@workflow.defn
async def in_a_chain(order: Order, left: int) -> str:
    if workflow.patched("euro"):
        workflow.deprecate_patch("dollar")
    fields, document = workflow.search(), workflow.entity()
    assert_type(await fields.set({"a": 1}, b=2), int)
    assert_type(await fields.incr("a", 0.5), int | float)
    assert_type(await fields.mult("a", 2), int | float)
    assert_type(await fields.mget("a", "b"), list[Any])
    assert_type(await document.merge({"a": {"b": 1}}), dict[str, Any])
    assert_type(await document.append("a.list", 1), list[Any])
    assert_type(await document.toggle("a.on"), bool)
    assert_type(workflow.memo(), dict[str, Any])
    workflow.upsert_memo({"a": None})
    workflow.progress(1, 2.5, "half-way")
    assert_type(await workflow.execute_child(in_a_chain, order, 1, retry=RetryPolicy(), run_timeout="1 hour"), str)
    if left:
        workflow.continue_as_new(order, left - 1, run_timeout="1 hour")
    return "the checker knows that the line above does not come back"


@workflow.defn
class Cart:
    @workflow.run
    async def run(self) -> None: ...

    @workflow.signal
    async def approve(self, by: str, times: int) -> None: ...

    @workflow.signal(name="stop", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    def end(self) -> None: ...

    @workflow.query
    def total(self, currency: str) -> int:
        return 0

    @workflow.query(description="how it stands")
    async def status(self) -> str:
        return ""

    @workflow.update
    async def add(self, order: Order) -> float:
        return 0.0

    @add.validator
    def check_add(self, order: Order) -> None: ...

    @workflow.update(name="drop")
    def remove(self, order: Order) -> bool:
        return True


async def talking(handle: Handle[None], order: Order) -> None:
    await handle.signal(Cart.approve, "ada", 2)
    await handle.signal(Cart.end, request_id="once")
    await handle.signal("approve", "ada", 2)
    assert_type(await handle.query(Cart.total, "EUR"), int)
    assert_type(await handle.query(Cart.status, timeout=5), str)
    assert_type(await handle.query("total", "EUR"), Any)
    assert_type(await handle.query("total", "EUR", result_type=int), int)
    assert_type(await handle.update(Cart.add, order, id="u-1"), float)
    assert_type(await handle.update(Cart.remove, order), bool)
    assert_type(await handle.update("add", order), Any)
    assert_type(await handle.start_update(Cart.add, order, wait_for="completed"), UpdateHandle[float])
    assert_type(await handle.start_update(Cart.remove, order), UpdateHandle[bool])
    assert_type(await handle.reset(to="first", reapply=False), Handle[None])
    assert_type(await handle.fork(from_=3, id="other", version="2"), Handle[None])
    await handle.pause("reason")
    await handle.resume()
    await handle.update_options(version=None)
    await workflow.signal("id", 5)
    workflow.set_signal_handler("late", lambda: None)
    assert_type(workflow.all_handlers_finished(), bool)


class Rot13:
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    def decode(self, payloads: Sequence[Payload]) -> Sequence[Payload]:
        return payloads


class Timed(WorkerInterceptor):
    def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
        return TimedActivity(next)


class TimedActivity(ActivityInbound):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await self.next.execute_activity(replace(input, headers={**input.headers, "a": "b"}))


async def connecting(user: ContextVar[str]) -> None:
    client = await Client.connect(
        codec=[Compression(min_size=10), Encryption(keys={"k": b""}, active="k"), Rot13()],
        interceptors=[ContextPropagator({"x-user": user}), Interceptor(), Timed()],
    )
    await Client.connect(codec=Rot13())
    await Client.connect(codec=JsonCodec())
    Worker(client, workflows=[child], interceptors=[Timed()])


async def by_the_clock(client: Client, order: Order) -> None:
    assert_type(await client.schedule.create("a", child, order, 2, spec="0 9 * * MON-FRI", zone="Europe/Berlin"), ScheduleHandle)
    await client.schedule.create("b", Ship.run, order, every="10 minutes", overlap="buffer_one", catchup=60, search={"a": 1})
    await client.schedule.create("c", "by name", order, 5, spec=["@daily", "0 12 * * *"], limited_actions=3)
    await client.schedule.create("d", child, args=[order], spec=ScheduleSpec(calendars=[ScheduleCalendar(hour=9)], jitter="5s"))
    await client.schedule.create_or_update("d", child, order, spec=ScheduleSpec(intervals=[ScheduleInterval("1h")]), paused=True)
    handle = client.schedule.get_handle("a")
    assert_type(await handle.describe(), ScheduleDescription)
    await handle.trigger(overlap="allow_all")
    await handle.backfill(datetime(2026, 1, 1), datetime(2026, 1, 2), overlap="buffer_all")
    await handle.update(spec="@hourly", note="more often", args=[order, 3])
    await handle.update(lambda now: {"catchup": now.catchup * 2})
    async for found in client.schedule.list(limit=5):
        assert_type(found, ScheduleDescription)


async def local_activities() -> None:
    assert_type(await workflow.execute_local_activity(charge, Order("a"), 5), bool)
    assert_type(await workflow.execute_local_activity(undecorated, 1, "a", local_retry_threshold="5 seconds"), bytes)
    assert_type(await workflow.execute_local_activity(sync_undecorated, 1), bytes)
    assert_type(await workflow.execute_local_activity(Mail.plain, 1), list[str])
    assert_type(await workflow.execute_local_activity("by name", 1, result_type=int), int)
    assert_type(workflow.start_local_activity(weigh, "a"), asyncio.Task[float])


async def standalone_activities(client: Client) -> None:
    handle = await client.activity.start(charge, Order("a"), 5, id="x", task_queue="q", on_conflict="use_existing")
    assert_type(handle, ActivityHandle[bool])
    assert_type(await handle.result(), bool)
    assert_type(await client.activity.execute(weigh, "a", retry=RetryPolicy(maximum_attempts=2)), float)
    assert_type(await client.activity.execute("by name", args=[1], result_type=str), str)
    assert_type(client.activity.get_handle("x", result_type=int), ActivityHandle[int])


async def completing_from_outside(client: Client, token: bytes) -> None:
    outside = client.get_activity_handle(token)
    await outside.heartbeat("page", 3)
    await outside.complete({"any": "thing"})
    await client.get_activity_handle(workflow_id="w", activity_id=3).fail(RuntimeError("no"))
    await client.get_activity_handle(workflow_id="w", activity_id="a").reset(keep_paused=True, jitter="1 second")


@activity.defn(no_thread_cancel_exception=True)
def in_a_thread(item: str) -> int:
    with activity.shield_thread_cancel_exception():
        activity.wait_for_cancelled_sync("1 second")
    assert_type(activity.info().task_token, bytes)
    assert_type(activity.cancellation_details(), activity.CancellationDetails | None)
    activity.raise_complete_async()


@workflow.defn(versioning_behavior="pinned")
async def steering(client: Client) -> None:
    child = await workflow.start_child(Cart.run)
    await child.signal(Cart.approve, "ada", 2)
    await child.signal(Cart.end)
    await child.signal("approve", "ada", 2)
    await workflow.get_external_handle("other").signal(Cart.approve, "ada", 2)
    found = await client.workflow.find("total > 3")
    assert_type(found[0].progress, Progress | None)
    async for run in client.workflow.list(order="closed desc", limit=5):
        assert_type(run.version, str | None)
    Worker(client, workflows=[steering], version="2", default_versioning=workflow.VersioningBehavior.AUTO_UPGRADE)


async def count(by: int, text: str) -> float:
    return float(by)


async def simple() -> str:
    return ""


async def hooks(handle: Handle[None], client: Client) -> None:
    assert_type(await workflow.hook(count, 1, "a"), str)
    assert_type(await workflow.hook("count", 1, workflow_id="w", search={"a": 1}), str)
    assert_type(await workflow.exec_hook(count, 1, "a"), float)
    assert_type(await workflow.exec_hook(simple, workflow_id="w", run_id="r"), str)
    assert_type(await workflow.exec_hook("count", 1, result_type=float), float)
    assert_type(await workflow.exec_hook("count", 1), Any)
    assert_type(await workflow.exec_hook(count, 1, signal_id="s"), Any)
    assert_type(await workflow.exec_hook_batch({"a": (count, 1, "a"), "b": (simple,)}), dict[str, Any])
    assert_type(await workflow.exec_hook_batch([(1, simple), (2, count, 1, "a")]), dict[Any, Any])
    assert_type(await handle.hook(count, 1, "a", request_id="once"), str)
    assert_type(await handle.hook("count", 1), str)
    assert_type(await client.workflow.hook("w", count, 1, "a", search={"a": 1}), str)


async def people(client: Client) -> None:
    question = workflow.Escalation(role="manager", type="refund", metadata={"order": 1})
    assert_type(await workflow.wait_for("id", type=Order, escalation=question), Order | None)
    assert_type(await workflow.wait_for("id", type=int, escalation={"role": "r"}, default="no"), int | str)
    assert_type(await workflow.wait_for("id", escalation=question), Any)
    assert_type(await client.escalations.list(status="pending", metadata={"order": 1}), list[Escalation])
    async for each in client.escalations.list(order="-created_at"):
        assert_type(each.metadata, Mapping[str, Any])
    assert_type(await client.escalations.count(status=["pending", "resolved"]), int)
    claimed = await client.escalations.claim("id", assignee="ann", duration="5 minutes")
    assert_type(claimed, Escalation)
    assert_type(await client.escalations.resolve(claimed.id, {"yes": True}), Escalation)
    assert_type(await client.escalations.resolve_all_or_none({claimed.id: 1}), None)
    assert_type(await client.escalations.get_by_signal("s"), Escalation | None)


async def fake_charge(order: Order, cents: int = 100) -> bool:
    return True


def fake_charge_at_once(order: Order, cents: int = 100) -> bool:
    return True


async def fake_weigh(item: str) -> float:
    return 2.0


@crash_everywhere
async def crashing(memflow_env: WorkflowEnvironment, more: int) -> str:
    return "compared"


@crash_everywhere(ignore=[charge, "weigh"], limit=None, seed=3, timeout="10 seconds")
async def crashing_with_options(memflow_env: WorkflowEnvironment) -> None: ...


async def crashed(env: WorkflowEnvironment) -> str:
    return "compared"


def judge(one: Explored[str]) -> None:
    assert_type(one.result, str | None)


async def crashes(env: WorkflowEnvironment) -> None:
    assert_type(await crashing(env, 5), None)
    assert_type(await crashing_with_options(env), None)
    assert_type(await crash_everywhere(crashed, env=env, ignore="all"), CrashReport)
    assert_type(await explore(in_a_chain, Order("a"), 1, activities=[charge], signals={"x": 1}), list[Explored[str]])
    await explore(in_a_chain, Order("a"), 1, activities=lambda: [charge], check=judge, seeds=[1], longest="1 hour")


async def testing(memflow_env: WorkflowEnvironment) -> None:
    async with memflow_env.worker(in_a_chain, activities=[charge], replace={charge: fake_charge}):
        handle = await memflow_env.client.workflow.start(in_a_chain, Order("a"), 1, task_queue=memflow_env.task_queue)
        assert_type(await handle.result(), str)
        handle.assert_called(charge, Order("a"), times=1)
    memflow_env.worker(in_a_chain, activities=[charge], replace={charge: fake_charge_at_once}, lease="5 seconds")
    both = [replacing(charge, fake_charge), replacing(weigh, fake_weigh)]
    memflow_env.worker(in_a_chain, activities=[charge, weigh], replace=both)
    async with await WorkflowEnvironment.start_time_skipping() as env:
        assert_type(await env.get_current_time(), datetime)
        await env.sleep("30 days")
        await env.advance(days=1)
        with env.auto_time_skipping_disabled():
            await env.sleep(timedelta(days=1))
    alone = ActivityEnvironment()
    assert_type(await alone.run(charge, Order("a"), cents=5), bool)
    assert_type(await alone.run(weigh, "a"), float)
    assert_type(await alone.run(Mail().send, "bob"), str)
    history = await handle.history()
    assert_type(history.to_json(), str)
    assert_type((await Replayer(workflows=[in_a_chain]).replay_workflow(history)).replay_failure, Exception | None)
