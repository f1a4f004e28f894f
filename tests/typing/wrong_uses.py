"""Wrong uses: both type checkers must refuse each line marked `# wrong`, and no other. Read by `test_typing.py`, never run."""

from __future__ import annotations

from memflow import RetryPolicy, activity, workflow
from memflow.client import Client, ScheduleCalendar, ScheduleHandle, ScheduleSpec
from memflow.client.handle import Handle
from memflow.codec import Compression, Encryption
from memflow.interceptors import ContextPropagator
from memflow_testing import ActivityEnvironment, WorkflowEnvironment, crash_everywhere, explore, replacing
from tests.typing.right_uses import Cart, Elsewhere, Mail, Order, Ship, charge, child, in_a_chain, undecorated, weigh


def not_async(order: Order) -> None: ...


async def calls() -> None:
    await charge("a")  # wrong
    await charge(Order("a"), "five")  # wrong
    await charge(Order("a"), cent=5)  # wrong
    await charge()  # wrong
    await weigh(5)  # wrong
    print(charge(Order("a")).real)  # wrong
    await charge.options(rety=RetryPolicy())(Order("a"))  # wrong
    await charge.options(retry=3)(Order("a"))  # wrong
    await Mail().send(5)  # wrong
    await workflow.execute_activity(charge, "a")  # wrong
    await workflow.execute_activity(charge, Order("a"), 5, 6)  # wrong
    await workflow.execute_activity(charge, Order("a"), start_to_close=5)  # wrong
    await workflow.execute_activity(undecorated, "x", "y")  # wrong
    await workflow.execute_activity(Mail.send, 5)  # wrong
    await workflow.start_activity(charge, "five")  # wrong


async def proxies() -> None:
    await workflow.proxy_activities(Mail).sned("x")  # wrong
    await workflow.proxy_activities(Mail).send(5)  # wrong
    await workflow.proxy_activities(Mail, taskqueue="x").send("x")  # wrong
    await workflow.proxy_activities(charge, retry=5)(Order("a"))  # wrong
    await workflow.proxy_activities(undecorated)("x")  # wrong
    await workflow.proxy_activities(Elsewhere).translate(5)  # wrong
    first, second = workflow.proxy_activities(charge, weigh)
    await first("a")  # wrong
    await second(5)  # wrong


async def children() -> None:
    await workflow.execute_child(child, "a")  # wrong
    await workflow.execute_child(Ship.run)  # wrong
    await workflow.execute_child(Ship.run, 5)  # wrong
    await workflow.start_child(child, Order("a"), queue="x")  # wrong
    print((await workflow.start_child(child, Order("a"))).name)  # wrong
    await workflow.execute_child(not_async, Order("a"))  # wrong


async def verbs() -> None:
    number: int = await workflow.wait_for("x", type=str)  # wrong
    other: int = await workflow.wait_for("x", type=int, default=None)  # wrong
    await workflow.sleep_for([1])  # wrong
    await workflow.sleep_until("tomorrow")  # wrong
    await workflow.wait_condition(True)  # wrong
    await workflow.emit("topic")  # wrong
    await workflow.enrich(["a"])  # wrong
    workflow.random().nope()  # wrong
    RetryPolicy(maximum_attempts="three")  # wrong
    RetryPolicy(max_attempts=3)  # wrong
    activity.heartbeat(details=1)  # wrong
    print(number, other)


workflow.defn(not_async)  # wrong
workflow.run(not_async)  # wrong
activity.defn(5)  # wrong
activity.defn(nme="x")  # wrong
workflow.defn(nme="x")  # wrong


async def talking(handle: Handle[None], order: Order) -> None:
    await handle.signal(Cart.approve, 5, 2)  # wrong
    await handle.signal(Cart.approve, "ada")  # wrong
    await handle.query(Cart.total)  # wrong
    await handle.update(Cart.add, "order")  # wrong
    await handle.start_update(Cart.add, order, wait_for="begun")  # wrong
    await handle.reset(to=None)  # wrong
    await handle.fork(3, id=5)  # wrong
    await handle.update_options()  # wrong
    await workflow.get_external_handle("other").signal(Cart.approve, "ada")  # wrong
    workflow.query(unfinished_policy="abandon")  # wrong


async def connecting() -> None:
    await Client.connect(codec=Compression)  # wrong
    await Client.connect(codec="aes")  # wrong
    await Client.connect(interceptors=[ContextPropagator])  # wrong
    await Client.connect(interceptors=["x"])  # wrong
    Encryption(keys={"k": "text"}, active="k")  # wrong
    Encryption(keys={"k": b""})  # wrong
    Compression(5)  # wrong


async def by_the_clock(client: Client, handle: ScheduleHandle, order: Order) -> None:
    await client.schedule.create("a", child, "order", spec="@daily")  # wrong
    await client.schedule.create("a", Ship.run, order, 5, spec="@daily")  # wrong
    await client.schedule.create("a", child, order, cron="@daily")  # wrong
    await client.schedule.create("a", child, order, spec=5)  # wrong
    await client.schedule.create("a", not_async, order, spec="@daily")  # wrong
    await handle.trigger("allow_all")  # wrong
    await handle.backfill("2026-01-01", "2026-01-02")  # wrong
    await handle.update(trigger_immediately=True)  # wrong
    ScheduleCalendar(hours=9)  # wrong
    ScheduleSpec(interval=5)  # wrong


async def local_and_standalone(client: Client) -> None:
    await workflow.execute_local_activity(weigh, 5)  # wrong
    await workflow.execute_local_activity(weigh, "a", task_queue="q")  # wrong
    await workflow.execute_local_activity(weigh, "a", heartbeat_timeout=5)  # wrong
    await client.activity.start(weigh, 5)  # wrong
    await client.activity.execute(weigh, "a", run_timeout=5)  # wrong
    await client.get_activity_handle(5).complete()  # wrong
    await client.get_activity_handle("t").reset(5)  # wrong


async def count(by: int, text: str) -> float:
    return float(by)


async def hooks(handle: Handle[None]) -> None:
    await workflow.hook(count, "1", "a")  # wrong
    await workflow.exec_hook(count, 1)  # wrong
    text: str = await workflow.exec_hook(count, 1, "a")  # wrong
    await handle.hook(count, 1)  # wrong
    workflow.Escalation(rol="manager")  # wrong
    order: Order = await workflow.wait_for("id", type=Order, escalation={"role": "r"})  # wrong
    print(text, order)


async def takes_text(order: str, cents: int = 100) -> bool:
    return True


async def gives_text(order: Order, cents: int = 100) -> str:
    return ""


async def takes_more(order: Order, cents: int, why: str) -> bool:
    return True


async def testing(env: WorkflowEnvironment) -> None:
    env.worker(in_a_chain, activities=[charge], replace={charge: takes_text})  # wrong
    env.worker(in_a_chain, activities=[charge], replace={charge: gives_text})  # wrong
    env.worker(in_a_chain, activities=[charge], replace={charge: takes_more})  # wrong
    replacing(charge, takes_text)  # wrong
    replacing(charge, gives_text)  # wrong
    await env.sleep([1])  # wrong
    await ActivityEnvironment().run(charge, "a")  # wrong
    crash_everywhere(ignore=charge)  # wrong
    crash_everywhere(limits=5)  # wrong
    crash_everywhere(not_async)  # wrong
    await explore(in_a_chain, "a", 1)  # wrong
    await explore(in_a_chain, Order("a"), 1, seeds=5)  # wrong
