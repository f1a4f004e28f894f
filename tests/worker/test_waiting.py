"""What a run waits for, and at which line, shows when no worker is alive."""

from __future__ import annotations

import asyncio

from memflow import Client, Worker, workflow
from tests.polling import until


async def inner() -> str:
    return await workflow.wait_for("approved", type=str)


@workflow.defn
async def waits_deep_down() -> str:
    naps = asyncio.ensure_future(workflow.sleep_for("30 days"))
    answer = await inner()
    naps.cancel()
    return answer


async def test_the_await_chain_is_stored_with_the_commit(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[waits_deep_down]):
            handle = await client.workflow.start(waits_deep_down, id="deep")

            async def waits() -> bool:
                return len((await handle.describe()).waiting) == 2

            await until(waits)
        description = await client.get_handle("deep").describe()
    by_what = {waiting.what: waiting.where for waiting in description.waiting}
    signal = next(chain for what, chain in by_what.items() if "approved" in what)
    assert [place.rpartition(" in ")[2] for place in signal] == ["waits_deep_down", "inner"]
    assert all("test_waiting.py:" in place for place in signal)
    assert any("timer" in what for what in by_what)
    assert str(description.detail).startswith("waiting: ")
