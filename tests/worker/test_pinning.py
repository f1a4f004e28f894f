"""Which worker goes on with a run: those of its version, the newest, or any."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from memflow import Client, Worker, workflow
from memflow.client.handle import Handle
from memflow.errors import ConfigurationError, WorkflowClosedError, WorkflowNotFoundError
from tests.polling import until


def versioned(name: str, says: str, behavior: str | None = None) -> Any:
    @workflow.defn(name=name, versioning_behavior=behavior)
    async def code() -> list[str]:
        first = says
        await workflow.wait_for("go")
        return [first, says]

    return code


async def waits(handle: Handle[Any]) -> None:
    async def waiting() -> bool:
        try:
            return "go" in str((await handle.describe()).detail)
        except WorkflowNotFoundError:                    # a child that is not there yet
            return False

    await until(waiting)


async def test_a_pinned_run_is_left_to_workers_of_its_version(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[versioned("w", "1")], version="1"):
            handle = await client.workflow.start("w")
            await waits(handle)
        shown = await handle.describe()
        assert (shown.version, shown.pinned) == ("1", True)
        assert "no worker of version '1'" in str(shown.detail)
        async with (
            Worker(client, workflows=[versioned("w", "2")], version="2"),
            Worker(client, workflows=[versioned("w", "none")]),
        ):
            await handle.signal("go")
            other = await client.workflow.start("w", id="other")
            await waits(other)
            assert str((await handle.describe()).detail).startswith("stuck: no worker of version '1'")
            assert (await handle.describe()).length == shown.length
            [listed] = [run async for run in client.workflow.list('version = "1"')]
            assert listed.id == handle.id and listed.version == "1"
        async with Worker(client, workflows=[versioned("w", "1")], version="1"):
            assert await handle.result(timeout=20) == ["1", "1"]


async def test_a_run_can_be_moved_to_another_version(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[versioned("w", "1")], version="1"):
            handle = await client.workflow.start("w")
            await waits(handle)
        async with Worker(client, workflows=[versioned("w", "2")], version="2"):
            await handle.signal("go")
            with pytest.raises(ConfigurationError):
                await handle.update_options(version="")
            await handle.update_options(version="2")
            assert await handle.result(timeout=20) == ["2", "2"], "replayed by the code of version 2"
        with pytest.raises(WorkflowClosedError):
            await handle.update_options(version="2")


async def test_new_runs_and_unpinned_ones_go_to_the_newest_version_that_lives(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[versioned("w", "1"), versioned("free", "1", "auto_upgrade")], version="1"):
            free = await client.workflow.start("free")
            pinned = await client.workflow.start("w")
            await waits(free)
            await waits(pinned)
            assert not (await free.describe()).pinned
            async with Worker(client, workflows=[versioned("w", "2"), versioned("free", "2", "auto_upgrade")], version="2"):
                for number in range(5):
                    handle = await client.workflow.start("w", id=f"new {number}")
                    await waits(handle)
                    assert (await handle.describe()).version == "2"
                await pinned.signal("go")
                assert await pinned.result(timeout=20) == ["1", "1"]
                await free.signal("go")
                assert (await free.result(timeout=20))[1] == "2"
            # Rolled back: the newest that still lives takes new runs again.
            back = await client.workflow.start("w", id="back")
            await waits(back)
            assert (await back.describe()).version == "1"


async def test_the_default_of_a_worker_and_what_a_workflow_says_itself(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(
            client,
            workflows=[versioned("w", "1"), versioned("stays", "1", "pinned")],
            build_id="1",
            default_versioning="auto_upgrade",
        ),
    ):
        loose, stays = await client.workflow.start("w"), await client.workflow.start("stays")
        await waits(loose)
        await waits(stays)
        assert ((await loose.describe()).pinned, (await stays.describe()).pinned) == (False, True)
        assert (await loose.describe()).version == "1"


def test_wrong_words_are_refused_with_the_right_ones() -> None:
    with pytest.raises(ConfigurationError, match="pinned, auto_upgrade"):
        versioned("w", "1", "sticky")
    with pytest.raises(ConfigurationError, match=r"default_versioning.*pinned, auto_upgrade"):
        Worker(None, workflows=[versioned("w", "1")], default_versioning="no")  # type: ignore[arg-type]


@workflow.defn
async def child() -> str:
    await workflow.wait_for("go")
    return "done"


@workflow.defn
async def parent(rounds: int) -> str:
    if rounds:
        workflow.continue_as_new(rounds - 1)
    return await workflow.execute_child(child, id="the child")


async def test_the_next_run_and_children_of_a_pinned_run_are_pinned_with_it(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[parent, child], version="1"):
            handle = await client.workflow.start(parent, 2)
            await waits(client.workflow.get_handle("the child"))
            latest = client.workflow.get_handle(handle.id)
            for each in (latest, client.workflow.get_handle("the child")):
                shown = await each.describe()
                assert (shown.version, shown.pinned) == ("1", True)
        async with Worker(client, workflows=[parent, child], version="2"), Worker(client, workflows=[parent, child], version="1"):
            await client.workflow.get_handle("the child").signal("go")
            assert await handle.result(timeout=20) == "done"


async def test_queries_of_a_pinned_run_are_answered_by_its_version(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[versioned("w", "1")], version="1"):
            handle = await client.workflow.start("w")
            await waits(handle)
        async with Worker(client, workflows=[versioned("w", "2")], version="2"):
            with pytest.raises(TimeoutError):
                await handle.query("__stack_trace", timeout=0.3)
        async with Worker(client, workflows=[versioned("w", "1")], version="1"):
            assert "go" in await handle.query("__stack_trace")


async def test_a_claim_reads_only_what_it_may_take(dsn: str, schema: str) -> None:
    """100,000 runs pinned to a version that is gone cost the others nothing: they are another part of the index."""
    async with await Client.connect(dsn, schema=schema) as client:
        await client.workflow.start("w")
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(
                f'insert into "{schema}".wakes (run, namespace, queue, version, wake_at)'
                " select n, 'default', 'default', 'old', now() from generate_series(1000, 100999) n"
            )
            await connection.execute(f'analyze "{schema}".wakes')
            [row] = await connection.fetch(
                f"explain (analyze, buffers, format json) select run from \"{schema}\".wakes w where namespace = 'default'"
                " and queue = 'default' and version = '' and priority = 0 and owner is null and wake_at <= now()"
                " order by wake_at limit 100"
            )
        finally:
            await connection.close()
    plan = json.loads(row[0])[0]["Plan"]
    assert plan["Plans"][0]["Node Type"].startswith("Index") and "wakes_due" in str(plan)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20
