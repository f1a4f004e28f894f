"""Subscriptions: what they deliver, in which order, and across which breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow.client.client import Client
from memflow.client.events import Event, Subscription
from memflow.core.interrupts import Emit
from memflow.errors import ConfigurationError
from tests.client.driver import Driver, cut_connections


async def emit(client: Client, driver: Driver, *events: dict[str, Any]) -> str:
    """Start a run that emits these, in one commit. Gives the workflow id."""
    handle = await client.workflow.start("barker")
    [claim] = await driver.claim()
    emits = [
        Emit(op, {topic: client.codec.encode(payload) for topic, payload in topics.items()})
        for op, topics in enumerate(events, start=1)
    ]
    await driver.park(claim, entries=emits, effects=emits)
    return handle.id


async def take(events: Subscription, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found.append(await anext(events))
    return found


async def test_delivers_what_matches_from_now_on_in_commit_order(client: Client) -> None:
    driver = Driver(client)
    await emit(client, driver, {"my.dog.slept": 0})
    async with client.events.subscribe("my.dog.*") as events:
        first = await emit(client, driver, {"my.dog.barked": {"loud": True}}, {"my.cat.purred": 1})
        second = await emit(client, driver, {"my.dog.ate": ["bone"]})
        found = await take(events, 2)
    assert [(e.topic, e.payload, e.workflow_id) for e in found] == [
        ("my.dog.barked", {"loud": True}, first),
        ("my.dog.ate", ["bone"], second),
    ]
    assert found[0].position < found[1].position
    assert found[0].at <= found[1].at


async def test_resumes_after_a_position_seen_before(client: Client) -> None:
    driver = Driver(client)
    async with client.events.subscribe("**") as events:
        await emit(client, driver, {"a": 1}, {"b": 2}, {"c": 3})
        [first] = await take(events, 1)
    async with client.events.subscribe("**", after=first.position) as events:
        assert [(e.topic, e.payload) for e in await take(events, 2)] == [("b", 2), ("c", 3)]


async def test_every_subscriber_gets_every_event_once_while_many_commit(dsn: str, schema: str, client: Client) -> None:
    async with Client.connect(dsn, schema=schema) as other:
        async with client.events.subscribe("n.**") as one, other.events.subscribe("n.**") as two:
            driver = Driver(client)
            await asyncio.gather(*(client.workflow.start("barker") for _ in range(60)))
            claims = await driver.claim()

            async def bark(index: int) -> None:
                emitted = Emit(1, {f"n.{index}": client.codec.encode(index)})
                await driver.park(claims[index], entries=[emitted], effects=[emitted])

            await asyncio.gather(*(bark(index) for index in range(60)))
            heard = await asyncio.gather(take(one, 60), take(two, 60))
    assert [e.position for e in heard[0]] == sorted(e.position for e in heard[0])
    assert [e.payload for e in heard[0]] == [e.payload for e in heard[1]]
    assert sorted(e.payload for e in heard[0]) == list(range(60))


async def test_survives_the_loss_of_every_connection(dsn: str, schema: str, client: Client) -> None:
    async with client.events.subscribe("**") as events, Client.connect(dsn, schema=schema) as other:
        await cut_connections(dsn)
        await emit(other, Driver(other), {"after": "the storm"})
        [event] = await take(events, 1)
    assert (event.topic, event.payload) == ("after", "the storm")


async def test_a_loop_ends_when_the_client_closes(dsn: str, schema: str) -> None:
    client = await Client.connect(dsn, schema=schema)
    subscription = client.events.subscribe("**")

    async def loop() -> list[Event]:
        return [event async for event in subscription]

    reading = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await client.close()
    async with asyncio.timeout(5):
        assert await reading == []


async def test_a_cancelled_reader_may_read_on(client: Client) -> None:
    driver = Driver(client)
    async with client.events.subscribe("**") as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(events)
        await emit(client, driver, {"a": 1})
        assert [e.payload for e in await take(events, 1)] == [1]


async def test_a_pattern_nobody_means_is_refused(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="`\\*`"):
        client.events.subscribe("my.d*")
