"""A deployment while runs are open: code that no longer fits parks them, patched code takes them on."""

from __future__ import annotations

from memflow import Client, Worker, activity, workflow
from tests.polling import until


@activity.defn
async def charge(amount: int) -> str:
    return f"charged {amount}"


@activity.defn
async def charge_in_euro(amount: int) -> str:
    return f"charged {amount} euro"


@workflow.defn(name="order")
async def first_version(amount: int) -> str:
    charged = await charge(amount)
    await workflow.wait_for("go")
    return charged


@workflow.defn(name="order")
async def unpatched_version(amount: int) -> str:
    charged = await charge_in_euro(amount)
    await workflow.wait_for("go")
    return charged


@workflow.defn(name="order")
async def patched_version(amount: int) -> str:
    charged = await (charge_in_euro if workflow.patched("euro") else charge)(amount)
    await workflow.wait_for("go")
    return charged


@workflow.defn(name="order")
async def last_version(amount: int) -> str:
    workflow.deprecate_patch("euro")
    charged = await charge_in_euro(amount)
    await workflow.wait_for("go")
    return charged


ACTIVITIES = [charge, charge_in_euro]


async def test_runs_survive_each_step_of_a_change(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[first_version], activities=ACTIVITIES):
            old = await client.workflow.start("order", 5)

            async def waits() -> bool:
                return "go" in str((await old.describe()).detail)

            await until(waits)

        async with Worker(client, workflows=[unpatched_version], activities=ACTIVITIES):
            await old.signal("unread")

            async def stuck() -> bool:
                return "CodeMismatch" in str((await old.describe()).detail)

            await until(stuck)

        async with Worker(client, workflows=[patched_version], activities=ACTIVITIES):
            new = await client.workflow.start("order", 7)
            await old.signal("go")
            assert await old.result(timeout=20) == "charged 5"

            async def charged() -> bool:
                return "go" in str((await new.describe()).detail)

            await until(charged)
            assert [entry.kind for entry in await new.history()][:3] == ["run_started", "mark_patch", "schedule_activity"]

        async with Worker(client, workflows=[last_version], activities=ACTIVITIES):
            await new.signal("go")
            assert await new.result(timeout=20) == "charged 7 euro"
