"""What must hold under load: a flood for one run beside others at work, and a very long history."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from typing import Any

import asyncpg
import pytest

from memflow import Client, Worker, activity, workflow

SIGNALS = 10_000
ENTRIES = 50_000


@activity.defn
async def echo(number: int) -> int:
    return number


@workflow.defn
class Collects:
    def __init__(self) -> None:
        self.got: list[int] = []

    @workflow.run
    async def run(self, count: int) -> list[int]:
        await workflow.wait_condition(lambda: len(self.got) >= count)
        return self.got

    @workflow.signal
    def add(self, number: int) -> None:
        self.got.append(number)


@workflow.defn
async def works(count: int) -> int:
    return sum([await echo(number) for number in range(count)])


async def test_ten_thousand_signals_to_one_run_while_a_hundred_others_work(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[Collects, works], activities=[echo]),
    ):
        flooded = await client.workflow.start(Collects.run, SIGNALS)
        began = time.monotonic()
        sending = asyncio.gather(*(flooded.signal(Collects.add, number) for number in range(SIGNALS)))
        others = await asyncio.gather(*(client.workflow.execute(works, 20, id=f"other {n}") for n in range(100)))
        took = time.monotonic() - began
        await sending
        got = await flooded.result(timeout=60)
        assert others == [190] * 100
        assert got == list(range(SIGNALS)), "all of them, once, in the order of their sender"
        assert took < 60


@workflow.defn
async def long(count: int) -> str:
    for number in range(count):
        await echo(number)
    return str(await workflow.wait_for("end"))


async def _long_history(connection: Any, schema: str, run: int, steps: int) -> int:
    """The journal of `steps` activities, as commits would have written it."""
    at = "timestamptz '2026-01-01' + n * interval '1 second'"
    journal = f'insert into "{schema}".journal (run, seq, at, turn, op, kind, attributes, data) '
    await connection.execute(
        journal + f"select {run}, 1, {at}, 1, null, 'run_started', null, null from generate_series(0, 0) n"
    )
    await connection.execute(
        journal + f"select {run}, 2 * n + 2, {at}, n + 1, n + 1, 'schedule_activity', '{json.dumps({'name': 'echo'})}',"
        f" convert_to('[' || n || ']', 'UTF8') from generate_series(0, {steps - 1}) n"
    )
    await connection.execute(
        journal + f"select {run}, 2 * n + 1, {at}, n + 1, n, 'activity_completed', null, convert_to(n::text, 'UTF8')"
        f" from generate_series(1, {steps}) n"
    )
    length = 2 * steps + 1
    await connection.execute(
        f'update "{schema}".runs set length = {length + 1}, turn = {steps + 1}, last_at = now() where id = {run}'
    )
    # The last turn asks for the signal.
    await connection.execute(
        journal + f"select {run}, {length + 1}, {at}, n + 1, n + 1, 'await_signal',"
        f""" '{{"signal_id":"end"}}', null from generate_series({steps}, {steps}) n"""
    )
    return length + 1


@pytest.mark.timeout(180)
async def test_a_history_of_fifty_thousand_entries_loads_replays_and_shows(dsn: str, schema: str) -> None:
    seconds: dict[int, float] = {}
    async with await Client.connect(dsn, schema=schema) as client:
        connection = await asyncpg.connect(dsn)
        try:
            handles = {}
            for steps in (ENTRIES // 8, ENTRIES // 2):
                handle = await client.workflow.start(long, steps, id=f"long {steps}", start_delay="1 hour")
                row = await client.store.find_run(handle.id)
                assert row is not None
                length = await _long_history(connection, schema, row.run, steps)
                handles[steps] = (handle, length)
            await connection.execute(f'update "{schema}".wakes set wake_at = null')
            async with Worker(client, workflows=[long], activities=[echo]):
                for steps, (handle, length) in handles.items():
                    tracemalloc.start()
                    began = time.monotonic()
                    await handle.signal("end", "fine")
                    assert await handle.result(timeout=120) == "fine"
                    seconds[steps] = time.monotonic() - began
                    _, peak = tracemalloc.get_traced_memory()
                    tracemalloc.stop()
                    assert peak < length * 6_000, f"{peak / length:.0f} bytes an entry"
                    assert (await handle.describe()).length == length + 3, "the signal, the wait it ends, and the end"
                    assert len(await handle.history()) == length + 3
        finally:
            await connection.close()
        listed = {run.id: run.length async for run in client.workflow.list(order="id")}
        assert len(listed) == 2 and max(listed.values()) > ENTRIES
    few, many = seconds.values()
    assert many < few * 4 * 2.5 + 1, f"four times the entries took {many / few:.1f} times as long"
