"""Tests that kill their worker at every step: `pytest samples/crash_everywhere.py -rP`, or `python` it."""

import pytest

from memflow import activity, workflow
from memflow_testing import CrashError, WorkflowEnvironment, crash_everywhere, explore

pytestmark = pytest.mark.asyncio

BANK: dict[str, int] = {}
"""A bank that recognises a repeated order by its key, as payment services do."""


@activity.defn
async def charge(customer: str, cents: int) -> str:
    key = activity.info().idempotency_key
    BANK.setdefault(key, cents)
    return f"charged {customer}"


@activity.defn
async def send_mail(customer: str) -> None:
    """Whoever dies after this was sent, and before that is recorded, sends it again."""


@workflow.defn
async def renewal(customer: str) -> str:
    await workflow.sleep_for("30 days")
    receipt = await charge(customer, 500)
    await send_mail(customer)
    return receipt


@crash_everywhere(ignore=[send_mail])  # a mail may come twice: we accept that
async def test_a_renewal_survives_a_crash_at_every_step(memflow_env: WorkflowEnvironment) -> None:
    BANK.clear()
    async with memflow_env.worker(renewal, activities=[charge, send_mail]):
        result = await memflow_env.client.workflow.execute(renewal, "ann", id="r-1", task_queue=memflow_env.task_queue)
    assert result == "charged ann"
    assert list(BANK.values()) == [500], "charged once"


async def test_a_mail_that_was_sent_twice_is_found(memflow_env: WorkflowEnvironment) -> None:
    async def renew(env: WorkflowEnvironment) -> str:
        async with env.worker(renewal, activities=[charge, send_mail]):
            return await env.client.workflow.execute(renewal, "ann", id="r-1", task_queue=env.task_queue)

    with pytest.raises(CrashError) as caught:
        await crash_everywhere(renew, env=memflow_env)
    print(caught.value)


async def test_no_order_of_events_changes_the_result() -> None:
    found = await explore(renewal, "ann", activities=[charge, send_mail], seeds=range(20))
    print(f"explored {len(found)} seeds: {found[0].result}")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-rP", "-W", "ignore::pytest.PytestAssertRewriteWarning"]))
