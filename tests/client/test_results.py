"""Waiting for results: what it costs, what it survives, and what it says when there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow.client.client import Client
from memflow.errors import (
    ApplicationError,
    ConfigurationError,
    PayloadError,
    TerminatedError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from tests.client.driver import Driver, card_declined, cut_connections


async def test_a_result_reaches_everybody_who_waits_and_who_comes_later(client: Client) -> None:
    handle = await client.workflow.start("buy")
    waiters = [asyncio.create_task(handle.result()) for _ in range(5)]
    await asyncio.sleep(0)
    await Driver(client).complete({"ok": True})
    assert await asyncio.gather(*waiters) == [{"ok": True}] * 5
    assert await handle.result() == {"ok": True}
    assert await client.get_handle(handle.id).result() == {"ok": True}


async def test_five_hundred_waiters_cost_a_few_queries_together(watched: tuple[Client, list[str]]) -> None:
    client, statements = watched
    handles = await asyncio.gather(*(client.workflow.start("buy") for _ in range(500)))
    waiters = [asyncio.create_task(handle.result()) for handle in handles]
    await asyncio.sleep(0)
    statements.clear()
    assert await Driver(client).complete(7) == 500
    assert await asyncio.gather(*waiters) == [7] * 500
    asked = [statement for statement in statements if "result_encoding" in statement and "any($1" in statement]
    assert 1 <= len(asked) <= 6, asked


async def test_a_failed_run_raises_with_its_causes_on_one_line(client: Client) -> None:
    handle = await client.workflow.start("buy", id="order-1")
    await Driver(client).fail(card_declined())
    with pytest.raises(WorkflowFailedError) as caught:
        await handle.result(timeout=5)
    error = caught.value
    assert str(error) == f"workflow 'order-1' (run {handle.run_id}) failed: PaymentFailed: payment failed"
    assert (error.workflow_id, error.run_id, error.status) == ("order-1", handle.run_id, "failed")
    assert isinstance(error.cause, ApplicationError) and error.cause is error.__cause__
    root = error.cause.cause
    assert isinstance(root, ApplicationError)
    assert (root.type, root.message, tuple(root.details)) == ("CardDeclined", "card 4242 declined", (4242,))


async def test_a_terminated_run_says_so_with_the_reason(client: Client) -> None:
    handle = await client.workflow.start("buy")
    waiter = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    await handle.terminate("out of stock")
    with pytest.raises(WorkflowFailedError, match="was terminated") as caught:
        await waiter
    assert isinstance(caught.value.cause, TerminatedError)
    assert caught.value.cause.reason == "out of stock"


async def test_a_timeout_ends_the_wait_and_not_the_run(client: Client) -> None:
    handle = await client.workflow.start("buy", id="slow")
    with pytest.raises(TimeoutError, match="'slow' has not ended within 50ms"):
        await handle.result(timeout="50ms")
    assert await handle.status() == "running"
    with pytest.raises(ConfigurationError, match="timeout"):
        await handle.result(timeout=-1)


async def test_a_missing_run_shows_on_use(client: Client) -> None:
    handle = client.get_handle("nobody")
    looking: list[Any] = [handle.result, handle.status, handle.describe, handle.history, handle.stack]
    for call in [*looking, handle.cancel, handle.terminate, handle.interrupt]:
        with pytest.raises(WorkflowNotFoundError, match="'nobody'"):
            await call()
    with pytest.raises(WorkflowNotFoundError):
        await handle.signal("go")
    with pytest.raises(WorkflowNotFoundError):
        await client.get_handle("nobody", "no-run").status()


async def test_an_ended_run_takes_nothing_more(client: Client) -> None:
    handle = await client.workflow.start("buy")
    await Driver(client).complete()
    for call in (handle.cancel, handle.terminate, handle.interrupt):
        with pytest.raises(WorkflowClosedError, match="completed"):
            await call()
    with pytest.raises(WorkflowClosedError):
        await client.get_handle(handle.id).signal("go", 1)


async def test_a_result_of_another_type_than_declared_is_refused_by_path(client: Client) -> None:
    handle = await client.workflow.start("buy", result_type=list[int])
    await Driver(client).complete([1, "x"])
    with pytest.raises(PayloadError) as caught:
        await handle.result(timeout=5)
    assert caught.value.path == "$[1]"


async def test_cancelled_waiters_leave_nothing_behind(client: Client) -> None:
    handle = await client.workflow.start("buy")
    waiters = [asyncio.create_task(handle.result()) for _ in range(10)]
    await asyncio.sleep(0)
    for waiter in waiters[:9]:
        waiter.cancel()
    await asyncio.wait(waiters[:9])
    await Driver(client).complete(3)
    assert await waiters[9] == 3
    assert not client._link.waiters._waiting


async def test_results_come_without_notices(dsn: str, server_dsn: str, schema: str) -> None:
    # Notices do not cross databases: to listen in another one is to hear nothing, as behind a pooler.
    async with Client.connect(dsn, schema=schema, listen_dsn=server_dsn) as deaf:
        handles = [await deaf.workflow.start("buy") for _ in range(3)]
        waiters = [asyncio.create_task(handle.result(timeout=10)) for handle in handles]
        await asyncio.sleep(0)
        await Driver(deaf).complete("polled")
        assert await asyncio.gather(*waiters) == ["polled"] * 3
        assert not deaf.store.notifies


async def test_waiting_outlives_the_loss_of_every_connection(dsn: str, schema: str, client: Client) -> None:
    handle = await client.workflow.start("buy")
    waiter = asyncio.create_task(handle.result(timeout=20))
    await asyncio.sleep(0)
    await cut_connections(dsn)
    async with Client.connect(dsn, schema=schema) as other:
        await Driver(other).complete("still here")
        assert await waiter == "still here"


async def test_closing_the_client_tells_those_who_wait(dsn: str, schema: str) -> None:
    client = await Client.connect(dsn, schema=schema)
    handle = await client.workflow.start("buy")
    waiter = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await waiter
