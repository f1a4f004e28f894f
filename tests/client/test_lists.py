"""Lists and counts by filter."""

from __future__ import annotations

import asyncio

import pytest

from memflow.client.client import Client
from memflow.errors import ConfigurationError
from tests.client.driver import Driver, card_declined


async def found(client: Client, where: str | None) -> set[str]:
    return {run.id async for run in client.workflow.list(where)}


async def some_runs(client: Client) -> None:
    """a completed order, b failed order, c open refund on another queue."""
    driver = Driver(client)
    await client.workflow.start("order", id="a", search={"customer": "acme", "total": 10, "address": {"city": "Rome"}})
    await driver.complete("done")
    await client.workflow.start("order", id="b", search={"customer": "globex", "total": 20, "vip": True})
    await driver.fail(card_declined())
    await client.workflow.start("refund", id="c", task_queue="slow", search={"customer": "acme"})


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (None, "abc"),
        ("  ", "abc"),
        ("status = running", "c"),
        ("status in (completed, failed)", "ab"),
        ("status not in (completed, failed)", "c"),
        ("status != failed", "ac"),
        ('type = "order"', "ab"),
        ('type in ("order", "refund") and not status = failed', "ac"),
        ('type ~ "FUN"', "c"),
        ('id = "a" or id = "c"', "ac"),
        ('queue = "slow"', "c"),
        ("closed is null", "c"),
        ("closed is not null", "ab"),
        ('started > ago("1 hour")', "abc"),
        ('started < ago("1 hour")', ""),
        ("closed <= now()", "ab"),
        ("duration < '1 hour'", "abc"),
        ('error ~ "payment"', "b"),
        ('error ~ "50%_"', ""),
        ("error is null", "ac"),
        ('record.customer = "acme"', "ac"),
        ('record.customer in ("globex", "initech")', "b"),
        ("record.total > 10", "b"),
        ("record.total >= 10", "ab"),
        ("record.vip = true", "b"),
        ("record.vip is null", "ac"),
        ('record.address.city = "Rome"', "a"),
        ('record.address.city ~ "rom"', "a"),
        ("length >= 2", "ab"),
        ("parent is null", "abc"),
        ("attempt = 1", "abc"),
        ("wake is not null", "c"),
        ("id = \"a'; drop table runs; --\"", ""),
    ],
)
async def test_finds(client: Client, where: str | None, ids: str) -> None:
    await some_runs(client)
    assert await found(client, where) == set(ids)
    assert await client.workflow.count(where) == len(ids)


async def test_every_field_can_be_asked_for(client: Client) -> None:
    await some_runs(client)
    for field in ("detail", "run", "version", "parent", "type"):
        assert await client.workflow.count(f'{field} = "nothing like this"') == 0


async def test_pages_are_joined_without_gap_or_repeat_newest_first(client: Client) -> None:
    await asyncio.gather(*(client.workflow.start("order", id=f"o-{n}") for n in range(450)))
    runs = [run async for run in client.workflow.list()]
    assert len(runs) == len({run.id for run in runs}) == 450
    assert [run.started_at for run in runs] == sorted((run.started_at for run in runs), reverse=True)
    assert [run.id async for run in client.workflow.list(limit=250)] == [run.id for run in runs[:250]]
    assert [run async for run in client.workflow.list(limit=0)] == []


async def test_a_filter_that_cannot_be_read_asks_nobody(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="column 1: unknown field 'statu'"):
        await client.workflow.count("statu = failed")
    with pytest.raises(ConfigurationError, match="limit"):
        await anext(client.workflow.list(limit=-1))


async def ordered(client: Client, order: str | None, limit: int | None = None) -> str:
    return "".join([run.id async for run in client.workflow.list(order=order, limit=limit)])


async def test_lists_are_ordered_by_what_is_asked_for(client: Client) -> None:
    await some_runs(client)
    for order, ids in {
        None: "cba",
        "started": "cba",
        "started asc": "abc",
        "closed": "cba",
        "closed asc": "abc",
        "id": "abc",
        "ID desc": "cba",
        "type": "abc",
        "type desc": "cba",
    }.items():
        assert await ordered(client, order) == ids, order
    assert await ordered(client, "id", limit=2) == "ab"


async def test_pages_in_any_order_hold_each_run_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memflow.client.workflows.RUNS_PER_PAGE", 7)
    await asyncio.gather(*(client.workflow.start(f"type {n % 3}", id=f"{n:03}") for n in range(60)))
    await Driver(client).complete()
    for order in (None, "started", "started asc", "closed", "closed asc", "id", "id desc", "type", "type desc"):
        ids = [run.id async for run in client.workflow.list(order=order)]
        assert len(ids) == len(set(ids)) == 60, order
    types = [run.type async for run in client.workflow.list(order="type")]
    assert types == sorted(types)
    found = [run.id async for run in client.workflow.list('type = "type 1"', order="id desc", limit=10)]
    assert found == sorted(found, reverse=True) and len(found) == 10


@pytest.mark.parametrize("order", ["", "size", "id up", "id asc desc", "record.x", 5])
async def test_an_order_that_is_none_names_those_there_are(client: Client, order: str) -> None:
    with pytest.raises(ConfigurationError, match="started, closed, id, type"):
        await ordered(client, order)


async def test_find_takes_bare_names_for_fields_of_the_record(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        await client.workflow.start("order", id="a", search={"customer": "acme", "total": 3, "address": {"city": "Bonn"}})
        await client.workflow.start("order", id="b", search={"customer": "acme", "total": 5, "status": "open"})
        await client.workflow.start("order", id="c", search={"customer": "other"})
        find = client.workflow.find
        assert [run.id for run in await find('customer = "acme" and total > 3')] == ["b"]
        assert [run.id async for run in find('customer = "acme"', order="id")] == ["a", "b"]
        assert [run.id for run in await find('record.customer = "acme" and address.city = "Bonn"')] == ["a"]
        assert [run.id for run in await find('status = running and record.status = "open"')] == ["b"]
        assert [run.id for run in await find(limit=1)] == ["c"]
        twice = find("total is not null")
        assert len(await twice) == len(await twice) == 2
        with pytest.raises(ConfigurationError, match="column"):
            await find("customer = ")
