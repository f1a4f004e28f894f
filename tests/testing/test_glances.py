"""A look that was taken with a skip of time spares the worker its own, and an old one is not used."""

from __future__ import annotations

from typing import Any

from memflow import Client, workflow
from memflow_testing import WorkflowEnvironment, glances
from memflow_testing.postgres import PostgresGround


@workflow.defn
async def noted() -> str:
    return "done"


def looks_of(ground: PostgresGround) -> list[str]:
    """The statements that the store of a ground sends from now on, by name."""
    names: list[str] = []
    store: Any = ground.store
    database = store._database
    real = database.fetch

    async def fetch(name: str, *arguments: Any, **options: Any) -> Any:
        names.append(name)
        return await real(name, *arguments, **options)

    database.fetch = fetch
    return names


async def test_a_firing_takes_three_round_trips(dsn: str) -> None:
    """The skip, with what it shows; the act, which takes what it starts; the commit."""
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env, env.worker(noted):
        ground = env.ground
        assert isinstance(ground, PostgresGround)
        await env.client.schedule.create("d", noted, spec="0 6 * * *", task_queue=env.task_queue)
        await env.sleep("1 day")
        names = looks_of(ground)
        await env.sleep("30 days")
        assert names.count("serve_schedules") == names.count("commit_end") == 30
        assert names.count("look_at_schedules") + names.count("claim_runs") <= 10, "those by the wall clock"


async def test_an_old_look_is_not_used(dsn: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(glances, "GOOD_FOR_SECONDS", 0.0)
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env, env.worker(noted):
        ground = env.ground
        assert isinstance(ground, PostgresGround)
        handle = await env.client.schedule.create("d", noted, spec="0 6 * * *", task_queue=env.task_queue)
        names = looks_of(ground)
        await env.sleep("3 days")
        assert names.count("look_at_schedules") >= 3
        assert (await handle.describe()).actions == 3


async def test_a_schedule_that_changed_since_the_look_is_served_as_it_is_now(dsn: str) -> None:
    """As with any worker that is slow: what it saw is fenced."""
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        ground = env.ground
        assert isinstance(ground, PostgresGround) and ground.clockwork is not None
        handle = await env.client.schedule.create("d", noted, spec="0 6 * * *", task_queue=env.task_queue)
        async with await Client.connect(ground.dsn, schema=ground.schema) as elsewhere:
            theirs = elsewhere.schedule.get_handle("d")
            await theirs.describe()                      # prepares the statement
            look = await ground.clockwork.skip(awaited=[], until=None, told=[])
            assert look.state == "skipped" and look.due == ["schedules"]
            await theirs.pause()
        served = await ground.store.serve_schedules(limit=5)
        assert (served.schedules, served.started) == (0, 0)
        described = await handle.describe()
        assert described.paused and described.actions == 0
