"""Waits for people: the row comes with the wait and ends with it; of everybody who would end it, exactly one wins."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from memflow import Client, Worker, workflow
from memflow.client import Escalation
from memflow.errors import ConfigurationError, EscalationError, PayloadError, WorkflowFailedError
from tests.polling import until


@workflow.defn
async def asks(signal_id: str, timeout: float | None = None) -> Any:
    return await workflow.wait_for(
        signal_id,
        timeout=timeout,
        default="nobody",
        escalation={"role": "manager", "type": "refund", "priority": 2, "metadata": {"order": signal_id, "cents": 500}},
    )


@workflow.defn
async def asks_without_default(signal_id: str) -> Any:
    return await workflow.wait_for(signal_id, escalation=workflow.Escalation(role="clerk", assigned_to="ann"))


@workflow.defn
async def asks_twice_at_once() -> list[Any]:
    both = [workflow.wait_for(each, escalation={"type": "half"}) for each in ("left", "right")]
    return list(await asyncio.gather(*both))


async def ask_in_a_hook() -> Any:
    return await workflow.wait_for("in a hook", type=str, escalation={"role": "hook"}, default="none")


@workflow.defn
async def asks_in_a_hook() -> Any:
    return await workflow.exec_hook(ask_in_a_hook)


@workflow.defn
async def asks_in_a_child() -> Any:
    return await workflow.execute_child(asks, "in a child", None)


@workflow.defn
async def asks_again(round: int) -> Any:
    answer = await workflow.wait_for("round", escalation={"type": f"round {round}"})
    if round == 0:
        workflow.continue_as_new(1)
    return answer


@workflow.defn
async def asks_and_leaves(signal_id: str) -> str:
    waiting = asyncio.ensure_future(workflow.wait_for(signal_id, escalation={"role": "left"}))
    await workflow.wait_for("leave")
    waiting.cancel()
    await workflow.wait_for("end")
    return "left"


ALL = [asks, asks_without_default, asks_twice_at_once, asks_in_a_hook, asks_in_a_child, asks_again, asks_and_leaves]


def worker_of(client: Client, **more: Any) -> Worker:
    return Worker(client, workflows=ALL, poll_interval=0.1, **more)


async def the_one(client: Client, **where: Any) -> Escalation:
    """The one pending escalation that matches, once it is there."""
    await until(lambda: _some(client, **where))
    [found] = await client.escalations.list(status="pending", **where)
    return found


async def _some(client: Client, **where: Any) -> bool:
    return await client.escalations.count(status="pending", **where) > 0


async def test_the_row_comes_with_the_wait_and_its_payload_is_the_answer(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks, "a", None, id="w")
        found = await the_one(client, role="manager")
        assert (found.type, found.priority, found.metadata) == ("refund", 2, {"order": "a", "cents": 500})
        assert (found.workflow_id, found.workflow_type, found.signal_id, found.available) == ("w", "asks", "a", True)
        resolved = await client.escalations.resolve(found.id, {"yes": True}, metadata={"by": "ann"})
        assert (resolved.status, resolved.payload, resolved.metadata["by"]) == ("resolved", {"yes": True}, "ann")
        assert await handle.result() == {"yes": True}
        for again in (client.escalations.resolve(found.id, 1), client.escalations.cancel(found.id)):
            with pytest.raises(EscalationError) as caught:
                await again
            assert caught.value.reason == "already_resolved"


async def test_a_plain_signal_resolves_the_row(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        by_id = await client.workflow.start(asks, "by id", None)
        by_name = await client.workflow.start(asks, "by name", None)
        rows = [await the_one(client, signal_id=each) for each in ("by id", "by name")]
        await client.signal("by id", 1)
        await by_name.signal("by name", 2)
        assert [await by_id.result(), await by_name.result()] == [1, 2]
        ended = [await client.escalations.get(each.id) for each in rows]
        assert [(each.status, each.payload) for each in ended] == [("resolved", 1), ("resolved", 2)]


async def test_a_signal_that_was_there_before_resolves_the_row_at_once(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        await client.signal("early", 7)
        assert await client.workflow.execute(asks, "early", None) == 7
        [row] = await client.escalations.list()
        assert (row.status, row.payload) == ("resolved", 7)


async def test_the_row_expires_with_the_wait(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        assert await client.workflow.execute(asks, "late", 0.05) == "nobody"
        [row] = await client.escalations.list()
        assert row.status == "expired" and row.expires_at is not None
        with pytest.raises(EscalationError) as caught:
            await client.escalations.resolve(row.id, 1)
        assert caught.value.reason == "already_expired"


async def test_cancelling_gives_the_default_or_none(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks, "a", 3600)
        await client.escalations.cancel((await the_one(client, signal_id="a")).id)
        assert await handle.result() == "nobody"
        handle = await client.workflow.start(asks_without_default, "b")
        await client.escalations.cancel((await the_one(client, signal_id="b")).id)
        assert await handle.result() is None
        assert "wait_cancelled" in [each.kind for each in await handle.history()]


@pytest.mark.parametrize("how", ["terminate", "leave", "cancel"])
async def test_a_wait_that_is_left_cancels_its_row(dsn: str, schema: str, how: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks_and_leaves, "a")
        row = await the_one(client, role="left")
        if how == "leave":
            await client.signal("leave")
        else:
            await (handle.terminate() if how == "terminate" else handle.cancel())
        await until(lambda: _has(client, row.id, "cancelled"))
        await client.signal("end")
        if how == "leave":
            assert await handle.result() == "left"
        else:
            with pytest.raises(WorkflowFailedError):
                await handle.result()


async def _has(client: Client, id: str, status: str) -> bool:
    return (await client.escalations.get(id)).status == status


async def test_in_hooks_children_and_next_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        hooked = await client.workflow.start(asks_in_a_hook)
        await client.escalations.resolve((await the_one(client, role="hook")).id, "yes")
        parent = await client.workflow.start(asks_in_a_child)
        await client.escalations.resolve((await the_one(client, signal_id="in a child")).id, "child")
        chain = await client.workflow.start(asks_again, 0)
        await client.escalations.resolve((await the_one(client, type="round 0")).id, 0)
        await client.escalations.resolve((await the_one(client, type="round 1")).id, 1)
        assert [await hooked.result(), await parent.result(), await chain.result()] == ["yes", "child", 1]


async def test_of_many_who_resolve_one_wins(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks, "a", None)
        row = await the_one(client, signal_id="a")
        tries = [client.escalations.resolve(row.id, n) for n in range(20)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        [winner] = [n for n, each in enumerate(ended) if isinstance(each, Escalation)]
        lost = [each.reason for each in ended if isinstance(each, EscalationError)]
        assert lost == ["already_resolved"] * 19
        assert await handle.result() == winner


async def test_of_many_who_claim_one_wins_and_by_metadata_each_gets_another(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        only = await client.escalations.create(role="r", metadata={"k": "only"})
        tries = [client.escalations.claim(only.id, assignee=f"p{n}", duration=60) for n in range(12)]
        won = [each for each in await asyncio.gather(*tries, return_exceptions=True) if isinstance(each, Escalation)]
        assert len(won) == 1
        for _ in range(8):
            await client.escalations.create(role="r", metadata={"k": "many"})
        tries = [client.escalations.claim_by_metadata("k", "many", assignee=f"p{n}", duration=60) for n in range(12)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        ids = [each.id for each in ended if isinstance(each, Escalation)]
        assert len(ids) == len(set(ids)) == 8
        assert Counter(each.reason for each in ended if isinstance(each, EscalationError)) == {"claimed": 4}
        with pytest.raises(EscalationError) as caught:
            await client.escalations.claim_by_metadata("k", "none such", assignee="p")
        assert caught.value.reason == "not_found"


async def test_a_claim_is_held_extended_asserted_released_and_passed_on(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        row = await client.escalations.create({"role": "clerk"})
        first = await client.escalations.claim(row.id, assignee="ann", duration="1 hour")
        again = await client.escalations.claim(row.id, assignee="ann", duration="2 hours")
        assert not again.available and first.assigned_until is not None and again.assigned_until is not None
        assert again.assigned_until > first.assigned_until and again.claimed_at == first.claimed_at
        for refused, reason in (
            (client.escalations.claim(row.id, assignee="bob"), "claimed"),
            (client.escalations.release(row.id, assignee="bob"), "wrong_assignee"),
            (client.escalations.resolve(row.id, 1, assignee="bob"), "claimed"),
        ):
            with pytest.raises(EscalationError) as caught:
                await refused
            assert caught.value.reason == reason
        assert (await client.escalations.release(row.id, assignee="ann")).available
        await client.escalations.claim(row.id, assignee="bob", duration="1 hour")
        passed = await client.escalations.escalate_to_role(row.id, "boss")
        assert (passed.role, passed.assigned_to, passed.available) == ("boss", None, True)
        await client.escalations.claim(row.id, assignee="cy", duration=0.01)
        await until(lambda: _available(client, row.id))
        with pytest.raises(EscalationError) as caught:
            await client.escalations.resolve(row.id, 1, assignee="cy")
        assert caught.value.reason == "claim_expired"
        assert (await client.escalations.resolve(row.id, 1, assignee="dan")).status == "resolved"


async def _available(client: Client, id: str) -> bool:
    return (await client.escalations.get(id)).available


async def test_all_or_none(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks_twice_at_once)
        await until(lambda: _two(client))
        rows = {each.signal_id: each for each in await client.escalations.list(type="half")}
        done = await client.escalations.create()
        await client.escalations.resolve(done.id)
        with pytest.raises(EscalationError) as caught:
            await client.escalations.resolve_all_or_none({rows["left"].id: 1, done.id: 2})
        assert list(caught.value.failed) == [(done.id, "already_resolved")]
        batches = [
            client.escalations.resolve_all_or_none({rows["left"].id: n, rows["right"].id: n + 1}) for n in range(0, 100, 10)
        ]
        ended = await asyncio.gather(*batches, return_exceptions=True)
        [winner] = [n for n, each in enumerate(ended) if each is None]
        assert await handle.result() == [winner * 10, winner * 10 + 1]


async def _two(client: Client) -> bool:
    return await client.escalations.count(type="half") == 2


async def test_a_time_that_is_up_and_somebody_who_resolves_never_both_win(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handles = {f"s{n}": await client.workflow.start(asks, f"s{n}", 0.3 + n % 7 / 50) for n in range(60)}
        await until(lambda: _count(client, 60))
        rows = await client.escalations.list(limit=100)
        won: dict[str, bool] = {}

        async def resolve(row: Escalation) -> None:
            assert row.signal_id is not None and row.expires_at is not None
            left = row.expires_at - row.created_at
            await asyncio.sleep(max(0.0, left.total_seconds() - 0.25))
            try:
                await client.escalations.resolve(row.id, "answered")
                won[row.signal_id] = True
            except EscalationError as error:
                assert error.reason == "already_expired"
                won[row.signal_id] = False

        await asyncio.gather(*(resolve(each) for each in rows))
        for signal_id, handle in handles.items():
            assert await handle.result() == ("answered" if won[signal_id] else "nobody"), signal_id


async def test_an_answer_behind_a_flood_of_mail_still_beats_the_clock(dsn: str, schema: str) -> None:
    """A turn takes 500 arrivals: the answer is behind them, and the time is up by then."""
    async with await Client.connect(dsn, schema=schema) as client:
        async with worker_of(client):
            handle = await client.workflow.start(asks, "a", 2)
            row = await the_one(client, signal_id="a")
        await asyncio.gather(*(handle.signal("something else", n) for n in range(1200)))
        await client.escalations.resolve(row.id, "in time")
        assert row.expires_at is not None
        late = row.expires_at
        await until(lambda: _is_later(client, late))
        async with worker_of(client):
            assert await handle.result(timeout=30) == "in time"


async def _is_later(client: Client, than: datetime) -> bool:
    return await client.store.now() > than


async def test_plain_sql_sees_them(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        row = await client.escalations.create(workflow.Escalation(role="r", metadata={"a": 1}))
        await client.escalations.resolve(row.id, {"yes": True})
        conn = await asyncpg.connect(dsn)
        try:
            found = await conn.fetchrow(f'select role, status, available, payload::text from "{schema}".v_escalations')
        finally:
            await conn.close()
        assert tuple(found) == ("r", "resolved", False, '{"yes": true}')


async def test_the_newest_of_a_signal_id(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        assert await client.escalations.get_by_signal("a") is None
        await client.signal("a", 1)
        assert await client.workflow.execute(asks, "a", None) == 1
        ended = await client.escalations.get_by_signal("a")
        assert ended is not None and ended.status == "resolved"
        await client.workflow.start(asks, "a", None)
        await until(lambda: _some(client, signal_id="a"))
        pending = await client.escalations.get_by_signal("a")
        assert pending is not None and pending.status == "pending" and pending.id != ended.id
        assert (await client.escalations.resolve_by_metadata("order", "a", 2)).id == pending.id
        assert await client.escalations.resolve_many([ended.id, pending.id]) == dict.fromkeys(
            [ended.id, pending.id], "already_resolved"
        )


@workflow.defn
async def asks_badly(what: int) -> str:
    wrong: dict[str, Any] = [
        {"escalation": {"rol": "x"}},
        {"escalation": {"role": "x", "metadata": {"a": object}}},
        {"escalation": {"role": "x"}, "timeout": timedelta.max},
        {"escalation": {"role": "x" * 300_000}},
        {"escalation": {"metadata": {"a": "x" * 300_000}}},
    ][what]
    try:
        await workflow.wait_for("never", **wrong)
    except (ConfigurationError, PayloadError) as error:
        return str(error)
    return "accepted"


async def test_a_bad_escalation_is_refused_at_the_call_and_nothing_is_written(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[asks_badly]):
        said = [await client.workflow.execute(asks_badly, n) for n in range(5)]
        expected = ("no field rol", "$.a", "timeout", "characters", "at most")
        assert all(part in each for part, each in zip(expected, said, strict=True)), said
        assert await client.escalations.count() == 0


async def _count(client: Client, number: int) -> bool:
    return await client.escalations.count() == number


async def test_resolving_in_the_callers_transaction(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(asks, "a", None)
        row = await the_one(client, signal_id="a")
        conn = await asyncpg.connect(dsn)
        try:
            transaction = conn.transaction()
            await transaction.start()
            assert (await client.escalations.resolve(row.id, 1, connection=conn)).status == "resolved"
            await transaction.rollback()
            assert (await client.escalations.get(row.id)).status == "pending"
            async with conn.transaction():
                await client.escalations.resolve(row.id, 2, connection=conn)
        finally:
            await conn.close()
        assert await handle.result() == 2


async def test_lists_counts_and_pruning(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        for n in range(18):
            metadata = {"n": n, "deep": {"a": [n]}}
            row = await client.escalations.create(role=f"r{n % 2}", type="t", priority=n % 3, metadata=metadata)
            if n % 3 == 0:
                await client.escalations.resolve(row.id)
        listed = await client.escalations.list(status="pending", limit=100)
        assert [each.priority for each in listed] == [1] * 6 + [2] * 6
        assert [each.metadata["n"] async for each in client.escalations.list(metadata={"deep": {"a": [5]}})] == [5]
        assert await client.escalations.count(roles=["r0"], available=True) == 6
        stats = await client.escalations.stats(period="1h")
        assert (stats.pending, stats.created, stats.resolved) == (12, 18, 6)
        assert stats.by_role is not None and stats.by_role["r0"].pending == 6
        assert await client.escalations.types() == ["t"]
        assert [await client.escalations.prune(older_than=0, limit=4) for _ in range(3)] == [4, 2, 0]
        assert await client.escalations.count() == 12


async def test_what_cannot_be_is_refused_at_the_call(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        for wrong in (
            lambda: client.escalations.get("no uuid"),
            lambda: client.escalations.create(rol="r"),
            lambda: client.escalations.create(priority=10**12),
            lambda: client.escalations.claim("0" * 32, assignee=""),
            lambda: client.escalations.claim("0" * 32, assignee="a", duration=0),
            lambda: client.escalations.prune(limit=0),
        ):
            with pytest.raises(ConfigurationError):
                await wrong()
        with pytest.raises(ConfigurationError, match="order"):
            await client.escalations.list(order="prio")
        with pytest.raises(ConfigurationError, match="pending, resolved"):
            await client.escalations.list(status="open")  # type: ignore[arg-type]
        with pytest.raises(EscalationError) as caught:
            await client.escalations.get("0" * 32)
        assert caught.value.reason == "not_found"
