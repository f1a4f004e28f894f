"""What hooks and questions to people cost: they ride along with the commits that are made anyway."""

from __future__ import annotations

from memflow import Client, Worker, workflow
from tests.budget.test_commits import counted
from tests.polling import until


async def nothing() -> int:
    await workflow.search().set(done=True)
    return 1


@workflow.defn
async def hooks_and_ends() -> int:
    await workflow.hook(nothing)
    return await workflow.exec_hook(nothing)


@workflow.defn
async def asks(people: bool) -> int:
    escalation = {"role": "r"} if people else None
    return int(await workflow.wait_for("s", escalation=escalation))


async def test_a_hook_in_its_own_run_costs_no_commit(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[hooks_and_ends]):
        with counted(client) as counts:
            assert await client.workflow.execute(hooks_and_ends) == 1
        assert counts["commit_turns"] == 1


async def test_asking_people_costs_no_commit(dsn: str, schema: str) -> None:
    commits = []
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[asks]):
        for people in (False, True):
            with counted(client) as counts:
                handle = await client.workflow.start(asks, people)

                async def waits() -> bool:
                    return any(each.kind == "await_signal" for each in await handle.history())  # noqa: B023

                await until(waits)
                commits.append(counts["commit_turns"])
            await client.signal("s", 1)
            assert await handle.result() == 1
    assert commits == [1, 1]
