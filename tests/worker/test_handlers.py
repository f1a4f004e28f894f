"""Class workflows end to end: signals, queries and updates of running, waiting and ended runs."""

from __future__ import annotations

import asyncio
import builtins
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from memflow import Client, Worker, workflow
from memflow.errors import (
    ApplicationError,
    ConfigurationError,
    PayloadError,
    QueryFailedError,
    UpdateFailedError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from tests.polling import until


@dataclass
class Item:
    name: str
    cents: int


@workflow.defn
class Cart:
    @workflow.init
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.items: list[Item] = []
        self.events: list[str] = ["made"]
        self.paid = False

    @workflow.run
    async def run(self, owner: str) -> list[str]:
        self.events.append("run")
        await workflow.wait_condition(lambda: self.paid)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.events

    @workflow.signal
    async def note(self, text: str, times: int = 1) -> None:
        self.events.extend([text] * times)

    @workflow.signal(name="pay")
    def pay_now(self) -> None:
        self.paid = True

    @workflow.query
    def total(self) -> int:
        return sum(item.cents for item in self.items)

    @workflow.query
    def events_after(self, start: int) -> list[str]:
        return self.events[start:]

    @workflow.query
    async def naughty(self) -> None:
        await workflow.sleep_for(1)

    @workflow.query
    def broken(self) -> None:
        raise ApplicationError("no idea", type="NoIdea")

    @workflow.update
    async def add(self, item: Item) -> int:
        self.items.append(item)
        await workflow.sleep_for(0.01)
        return len(self.items)

    @add.validator
    def check_add(self, item: Item) -> None:
        if item.cents < 0:
            raise ValueError("a negative price")

    @workflow.update
    def refuse(self) -> None:
        raise ApplicationError("not today", type="NotToday")

    @workflow.update
    async def forever(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Ending:
    def __init__(self) -> None:
        self.over = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.over)
        return "over"

    @workflow.update
    async def end(self) -> str:
        self.over = True
        return "answered in the turn that ended the run"

    @workflow.update(unfinished_policy="abandon")
    async def hang(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def fail(self) -> None:
        raise ApplicationError("by signal")


ALL = [Cart, Ending]


async def test_signals_that_come_with_the_start_run_after_init_and_before_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(Cart.run, "ada", id="cart", start_signal="note", start_signal_args=["first", 2])
        await handle.signal(Cart.note, "second")
        await handle.signal("pay")
        async with Worker(client, workflows=ALL):
            assert await handle.result(timeout=10) == ["made", "first", "first", "second", "run"]


async def test_queries_of_a_waiting_a_cold_and_an_ended_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=ALL):
            handle = await client.workflow.start(Cart.run, "ada")
            assert await handle.query(Cart.total) == 0
            await handle.signal(Cart.note, "hello")
            assert await handle.query(Cart.events_after, 1) == ["run", "hello"], "what was sent before the query counts"
            before = len(await handle.history())
        async with Worker(client, workflows=ALL):       # this one has nothing in memory
            assert await handle.query("events_after", 2) == ["hello"]
            assert len(await handle.history()) == before, "a query leaves no trace"
            await handle.signal(Cart.pay_now)
            await handle.result(timeout=10)
            assert await handle.query(Cart.events_after, 0) == ["made", "run", "hello"]


async def test_a_query_that_fails_says_why(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(Cart.run, "ada")
        ask: Any = handle.query                         # past the type checker
        with pytest.raises(QueryFailedError, match=r"known queries: \[broken, events_after, naughty, total\]"):
            await handle.query("totl")
        with pytest.raises(QueryFailedError) as failed:
            await handle.query(Cart.broken)
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == "NoIdea"
        with pytest.raises(QueryFailedError, match="may only look"):
            await handle.query(Cart.naughty)
        with pytest.raises(QueryFailedError, match="1 argument expected"):
            await handle.query("events_after")
        with pytest.raises(TypeError, match="takes 1 argument"):
            await ask(Cart.events_after)
        with pytest.raises(ConfigurationError, match="is no query"):
            await ask(Cart.note)
        with pytest.raises(WorkflowNotFoundError):
            await client.workflow.get_handle("nobody").query("total")


async def test_a_query_without_a_worker_times_out(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(Cart.run, "ada")
        with pytest.raises(builtins.TimeoutError, match="no worker answered query 'total'"):
            await handle.query(Cart.total, timeout=0.05)


async def test_an_update_is_answered_rejected_or_fails(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(Cart.run, "ada")
        assert await handle.update(Cart.add, Item("tea", 300)) == 1
        assert await handle.update("add", {"name": "jam", "cents": 500}) == 2
        before = len(await handle.history())
        with pytest.raises(UpdateFailedError, match=r"was rejected: ValueError: a negative price"):
            await handle.update(Cart.add, Item("debt", -1))
        with pytest.raises(UpdateFailedError, match=r"known updates: \[add, forever, refuse\]"):
            await handle.update("ad", 1)
        assert len(await handle.history()) == before, "a rejection leaves no trace"
        with pytest.raises(UpdateFailedError) as failed:
            await handle.update(Cart.refuse)
        assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == "NotToday"
        update: Any = handle.update                     # past the type checker
        with pytest.raises(PayloadError):
            await update(Cart.add, "no item")
        assert await handle.query(Cart.total) == 800


async def test_an_update_id_counts_once_and_keeps_its_reply(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(Cart.run, "ada")
        first, second = await asyncio.gather(*(handle.update(Cart.add, Item("tea", 1), id="once") for _ in range(2)))
        assert (first, second) == (1, 1)
        await handle.signal(Cart.pay_now)
        await handle.result(timeout=10)
        assert await handle.update(Cart.add, Item("tea", 1), id="once") == 1, "also after the end"
        assert await handle.get_update_handle("once").result() == 1
        with pytest.raises(WorkflowClosedError):
            await handle.update(Cart.add, Item("tea", 1), id="twice")


async def test_start_update_returns_when_accepted_and_the_end_of_the_run_answers_the_rest(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(Ending.run)
        hanging = await handle.start_update(Ending.hang, timeout=10)
        assert await handle.update(Ending.end) == "answered in the turn that ended the run"
        assert await handle.result(timeout=10) == "over"
        with pytest.raises(UpdateFailedError, match="the run ended before") as failed:
            await hanging.result(timeout=10)
        assert isinstance(failed.value.cause, WorkflowClosedError)


async def test_an_update_survives_a_change_of_workers(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(Cart.run, "ada")
        waiting = asyncio.ensure_future(handle.update(Cart.add, Item("tea", 1), timeout=10))
        async with Worker(client, workflows=ALL):
            forever = await handle.start_update(Cart.forever)
        async with Worker(client, workflows=ALL):
            assert await waiting == 1
            with pytest.raises(builtins.TimeoutError):
                await forever.result(timeout=0.05)


async def test_a_signal_handler_that_raises_fails_the_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(Ending.run)
        await handle.signal(Ending.fail)
        with pytest.raises(WorkflowFailedError, match="by signal"):
            await handle.result(timeout=10)


async def test_replies_go_with_their_run_and_questions_after_a_while(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        sql = await asyncpg.connect(dsn)
        counted = f'select (select count(*) from "{schema}".replies), (select count(*) from "{schema}".questions)'
        try:
            handle = await client.workflow.start(Cart.run, "ada", expire=0)
            await handle.update(Cart.add, Item("tea", 1), id="once")
            assert await handle.query(Cart.total) == 1
            assert tuple(await sql.fetchrow(counted)) == (1, 1)
            await handle.signal(Cart.pay_now)
            await handle.result(timeout=10)

            async def gone() -> bool:
                await client.store.prune(limit=100)
                return await client.store.find_run(handle.id) is None

            await until(gone)
            assert tuple(await sql.fetchrow(counted)) == (0, 1), "a question may still be answered"
            await sql.execute(f"""update "{schema}".questions set asked_at = asked_at - interval '5 minutes'""")
            await client.store.prune(limit=100)
            assert tuple(await sql.fetchrow(counted)) == (0, 0)
        finally:
            await sql.close()
