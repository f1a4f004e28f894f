"""The run's record and memo, end to end: answers inside, filters outside, the same on a worker that rebuilds the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow import Client, RetryPolicy, Worker, activity, workflow
from memflow.errors import WorkflowFailedError
from tests.polling import until


@activity.defn
async def look(number: int) -> int:
    return number


@workflow.defn
async def uses_fields() -> list[Any]:
    fields = workflow.search()
    said: list[Any] = [await fields.set({"customer": "acme", "total": 10}, active=True)]
    said.append(await fields.incr("total", 2))
    said.append(await fields.mult("total", 10))
    said.append(await workflow.execute_activity(look, 7))
    said.append(await fields.get("total"))
    said.append(await fields.mget("customer", "nothing", "active"))
    said.append(await fields.delete("active", "nothing"))
    said.append(await fields.get("active", "gone"))
    return said


@workflow.defn
async def uses_document() -> Any:
    document = workflow.entity()
    await document.set({"user": {"name": "Ada", "langs": ["Python"]}})
    await document.merge({"user": {"address": {"city": {"name": "London"}}}})
    await document.merge({"user": {"address": {"city": {"zip": "N1"}}}})
    await document.append("user.langs", "SQL")
    await document.prepend("user.langs", "Ada")
    await document.remove("user.langs", 1)
    assert await document.increment("user.visits") == 1
    assert await document.toggle("user.active") is True
    assert await document.set_if_not_exists("user.name", "Bob") == "Ada"
    assert await document.delete("user.address.city.zip") is True
    assert await document.get("user.langs.1") == "SQL"
    assert await document.get("user.nothing", "none") == "none"
    return await document.get()


@workflow.defn
async def waits_with_a_record() -> dict[str, Any]:
    async def other() -> None:
        await workflow.wait_for("bump")
        await workflow.search().incr("n")

    await workflow.enrich({"n": 1, "stage": "one"})
    task = asyncio.ensure_future(other())
    await workflow.wait_for("go")
    await task
    workflow.upsert_search_attributes({"stage": None, "done": True})
    found: dict[str, Any] = await workflow.entity().get()
    return found


@workflow.defn
async def keeps_a_memo() -> dict[str, Any]:
    workflow.upsert_memo({"by": None, "stage": "one"})
    await workflow.wait_for("go")
    return workflow.memo()


@workflow.defn
async def tells_how_far_it_is() -> dict[str, Any]:
    workflow.progress(1, 4)
    workflow.progress(2, 4, "awaiting approval")
    await workflow.wait_for("go")
    workflow.progress(3.5)
    return workflow.memo()


@workflow.defn
async def carries_on(rounds: int) -> dict[str, Any]:
    await workflow.search().incr("rounds")
    workflow.upsert_memo({"rounds": rounds})
    if rounds:
        workflow.continue_as_new(rounds - 1)
    return {**await workflow.entity().get(), **workflow.memo()}


@workflow.defn
async def fails_once_after_writing() -> dict[str, Any]:
    await workflow.search().incr("tries")
    if workflow.info().attempt == 1:
        await workflow.sleep_for(0)
        raise RuntimeError("once")
    found: dict[str, Any] = await workflow.entity().get()
    return found


ALL = [uses_fields, uses_document, waits_with_a_record, keeps_a_memo, tells_how_far_it_is, carries_on, fails_once_after_writing]


async def ids(client: Client, where: str) -> list[str]:
    return [run.id async for run in client.workflow.list(where)]


async def test_fields_answer_from_memory_and_show_in_filters(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL, activities=[look]):
        handle = await client.workflow.start(uses_fields, id="fields", search={"given": 1})
        assert await handle.result(timeout=20) == [3, 12, 120, 7, 120, ["acme", None, True], 1, "gone"]
        assert (await handle.describe()).record == {"given": 1, "customer": "acme", "total": 120}
        assert await ids(client, "record.total = 120 and record.customer = 'acme'") == ["fields"]
        assert await ids(client, "record.active is null and record.given = 1") == ["fields"]


async def test_a_document_is_changed_by_paths_and_found_by_them(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        expected = {
            "user": {
                "name": "Ada",
                "langs": ["Ada", "SQL"],
                "address": {"city": {"name": "London"}},
                "visits": 1,
                "active": True,
            }
        }
        assert await client.workflow.execute(uses_document, id="document") == expected
        assert (await client.get_handle("document").describe()).record == expected
        assert await ids(client, "record.user.address.city.name = 'London'") == ["document"]


async def test_a_start_gives_a_document_and_fields_in_it(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(carries_on, 0, entity={"user": {"name": "Ada"}}, search={"rounds": 5})
        assert await handle.result(timeout=20) == {"user": {"name": "Ada"}, "rounds": 0}
        assert (await handle.describe()).record == {"user": {"name": "Ada"}, "rounds": 6}


@pytest.mark.parametrize("cached", [1000, 0])
async def test_all_coroutines_share_the_record_also_after_a_rebuild(dsn: str, schema: str, cached: int) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=ALL, max_cached_workflows=cached):
            handle = await client.workflow.start(waits_with_a_record)

            async def is_there(where: str) -> bool:
                return await client.workflow.count(where) == 1

            await until(lambda: is_there("record.n = 1 and record.stage = 'one'"))
            await handle.signal("bump")
            await until(lambda: is_there("record.n = 2"))
        async with Worker(client, workflows=ALL, max_cached_workflows=cached):
            await handle.signal("go")
            assert await handle.result(timeout=20) == {"n": 2, "done": True}


async def test_a_memo_begins_as_given_and_shows_as_it_is_now(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=ALL):
            handle = await client.workflow.start(keeps_a_memo, memo={"by": "ada", "for": "bob"})

            async def changed() -> bool:
                return bool((await handle.describe()).memo == {"for": "bob", "stage": "one"})

            await until(changed)
        async with Worker(client, workflows=ALL):  # rebuilt: from the memo that was given, not from the one that shows
            await handle.signal("go")
            assert await handle.result(timeout=20) == {"for": "bob", "stage": "one"}


async def test_a_run_that_continues_takes_record_and_memo_along_and_one_that_is_tried_again_does_not(
    dsn: str, schema: str
) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(carries_on, 3, memo={"by": "ada"})
        assert await handle.result(timeout=20) == {"by": "ada", "rounds": 0}
        assert (await client.get_handle(handle.id).describe()).record == {"rounds": 4}

        policy = RetryPolicy(initial_interval=0.01)
        again = await client.workflow.start(fails_once_after_writing, retry=policy, search={"given": True})
        assert await again.result(timeout=20) == {"given": True, "tries": 1}


async def test_a_wrong_verb_fails_the_run_with_the_place(dsn: str, schema: str) -> None:
    @workflow.defn
    async def adds_to_text() -> None:
        await workflow.search().set(name="Ada")
        await workflow.search().incr("name")

    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[adds_to_text]):
        handle = await client.workflow.start(adds_to_text)
        with pytest.raises(WorkflowFailedError, match="name is a text, not a number"):
            await handle.result(timeout=20)
        assert (await handle.describe()).record == {"name": "Ada"}


async def test_progress_shows_in_lists_and_not_in_the_memo(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(tells_how_far_it_is, memo={"by": "ada"})

        async def shown() -> bool:
            return (await handle.describe()).progress is not None

        await until(shown)
        [run] = [run async for run in client.workflow.list("status = running")]
        assert run.progress is not None and run.memo == {"by": "ada"}
        assert (run.progress.done, run.progress.total, run.progress.note) == (2, 4, "awaiting approval")
        assert str(run.progress) == "2/4 awaiting approval"
        await handle.signal("go")
        assert await handle.result(timeout=20) == {"by": "ada"}
        ended = (await handle.describe()).progress
        assert ended is not None and str(ended) == "3.5"


@pytest.mark.parametrize(("done", "total"), [(-1, None), (5, 4), (float("nan"), None), (1, float("inf")), (True, None)])
async def test_progress_that_cannot_be_is_refused(dsn: str, schema: str, done: float, total: float | None) -> None:
    @workflow.defn(failure_exception_types=[Exception])
    async def wrong() -> None:
        workflow.progress(done, total)

    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[wrong]):
        with pytest.raises(WorkflowFailedError, match="progress: "):
            await (await client.workflow.start(wrong)).result(timeout=20)
