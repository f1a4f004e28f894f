"""`explore` shuffles what a workflow waits for, finds the order that breaks it, and makes it again from its seed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest

from memflow import ApplicationError, RetryPolicy, activity, workflow
from memflow.errors import ConfigurationError
from memflow_testing import ExplorationError, Explored, explore

LOG: list[str] = []


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    LOG.clear()


@activity.defn
async def fetch(name: str) -> str:
    return name.upper()


@activity.defn(retry=RetryPolicy(maximum_attempts=3))
def flaky(name: str) -> str:
    if activity.info().attempt < 3:
        raise RuntimeError("not yet")
    return f"{name} at {activity.info().attempt}"


@activity.defn(retry=RetryPolicy(maximum_attempts=2))
async def broken() -> None:
    raise RuntimeError("always")


@workflow.defn
async def in_order() -> list[str]:
    return list(await asyncio.gather(*(fetch(name) for name in ("a", "b", "c"))))


@workflow.defn
async def racy() -> list[str]:
    """The order of its results is that of their arrival."""
    found: list[str] = []

    async def one(name: str) -> None:
        found.append(await fetch(name))

    await asyncio.gather(one("a"), one("b"))
    return found


@workflow.defn
async def deadline() -> str:
    return str(await workflow.wait_for("approved", timeout="1 hour", default="late"))


@workflow.defn
async def lost() -> str:
    return str(await workflow.wait_for("never"))


@workflow.defn
async def sub(name: str) -> str:
    await workflow.sleep_for("1 minute")
    return await flaky(name)


@workflow.defn
async def parent() -> list[str]:
    return list(await asyncio.gather(workflow.execute_child(sub, "x"), workflow.execute_child(sub, "y")))


@workflow.defn
async def fails() -> None:
    await broken()


@workflow.defn
async def drops() -> str:
    """Gives up whoever is slower."""
    tasks = [asyncio.create_task(fetch(name)) for name in ("a", "b")]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return sorted(task.result() for task in done)[0]


@workflow.defn
async def counts_down(left: int) -> str:
    await workflow.sleep_for("1 day")
    if left:
        workflow.continue_as_new(left - 1)
    return "zero"


@workflow.defn
class Basket:
    def __init__(self) -> None:
        self.items: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: len(self.items) == 2)
        return self.items

    @workflow.signal
    async def add(self, item: str) -> None:
        await workflow.sleep_for("1 second")
        self.items.append(item)


async def test_what_does_not_depend_on_the_order_passes() -> None:
    found = await explore(in_order, activities=[fetch])
    assert len(found) == 50 and {tuple(each.result or ()) for each in found} == {("A", "B", "C")}
    assert len({tuple(each.calls) for each in found}) == 6, "every order of three came up"


async def test_a_result_that_depends_on_the_order_is_found_and_its_seed_makes_it_again() -> None:
    with pytest.raises(ExplorationError) as caught:
        await explore(racy, activities=[fetch])
    seed = caught.value.seed
    text = str(caught.value)
    assert text.startswith(f"seed {seed}: gave ['") and f"seeds=[{seed}]" in text and "racy play" in text
    [again] = await explore(racy, activities=[fetch], seeds=[seed])
    assert f"gave {again.result!r}" in text
    [first] = await explore(racy, activities=[fetch], seeds=[0])
    assert first.result != again.result


async def test_a_check_that_fails_names_the_seed() -> None:
    def check(one: Explored[list[str]]) -> None:
        assert one.result == ["A", "B"], f"got {one.result}"

    with pytest.raises(ExplorationError, match=r"the check failed: AssertionError: got \['B', 'A'\]") as caught:
        await explore(racy, activities=[fetch], check=check)
    with pytest.raises(ExplorationError, match=rf"^seed {caught.value.seed}: "):
        await explore(racy, activities=[fetch], check=check, seeds=[caught.value.seed])


async def test_an_invariant_is_looked_at_after_each_turn() -> None:
    looks: list[int] = []

    def never_two() -> None:
        looks.append(1)
        assert len(looks) < 2, "two turns"

    with pytest.raises(ExplorationError, match=r"seed 0: AssertionError: two turns"):
        await explore(parent, activities=[flaky], workflows=[sub], invariant=never_two)


async def test_the_same_seed_is_the_same_play() -> None:
    one = await explore(parent, activities=[flaky], workflows=[sub], seeds=range(5))
    other = await explore(parent, activities=[flaky], workflows=[sub], seeds=range(5))
    assert [each.script.journal for each in one] == [each.script.journal for each in other]
    assert one[0].result == ["x at 3", "y at 3"]
    assert one[0].script.journal != one[1].script.journal


async def test_signals_come_before_and_after_a_deadline() -> None:
    found = await explore(deadline, signals={"approved": "yes"}, same_result=False, longest="2 days")
    assert {each.result for each in found} == {"yes", "late"}


async def test_signals_for_handlers_find_them() -> None:
    found = await explore(Basket.run, signals=[("add", "pear"), ("add", "fig")], same_result=False)
    assert {tuple(each.result or ()) for each in found} == {("pear", "fig"), ("fig", "pear")}


async def test_activities_that_are_given_up_do_no_harm() -> None:
    found = await explore(drops, activities=[fetch], same_result=False)
    assert {each.result for each in found} == {"A", "B"}


async def test_a_failed_workflow_is_an_outcome() -> None:
    found = await explore(fails, activities=[broken], seeds=range(5))
    assert all("broken" in str(each.error) and each.result is None for each in found)


async def test_a_chain_of_runs_is_followed() -> None:
    [one] = await explore(counts_down, 3, seeds=[1])
    assert one.result == "zero"
    assert one.script.now - one.script.journal[0].at >= timedelta(days=1)


async def test_a_workflow_that_waits_for_ever_says_for_what() -> None:
    with pytest.raises(ExplorationError, match=r"nothing more will happen, and it waits for .*never.*test_exploring"):
        await explore(lost)


async def test_a_workflow_that_asks_something_outside_its_run_is_caught() -> None:
    @workflow.defn
    async def forgetful() -> None:
        LOG.append("x")
        if len(LOG) % 2:
            await fetch("a")
        await workflow.sleep_for(1)

    with pytest.raises(ExplorationError, match="seed 0: "):
        await explore(forgetful, activities=[fetch])


async def test_activities_with_a_state_are_made_for_each_seed() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @activity.defn
        async def add(self) -> int:
            self.count += 1
            return self.count

    @workflow.defn
    async def twice() -> int:
        counter = workflow.proxy_activities(Counter)
        await counter.add()
        return await counter.add()

    assert {each.result for each in await explore(twice, activities=lambda: [Counter()])} == {2}


async def test_what_is_not_listed_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"activity 'fetch' is not known here; list it in activities=.*listed: flaky"):
        await explore(in_order, activities=[flaky])
    with pytest.raises(ConfigurationError, match=r"child workflow 'sub' is not known here; list it in workflows="):
        await explore(parent, activities=[flaky])
    with pytest.raises(ConfigurationError, match="seeds is empty"):
        await explore(in_order, activities=[fetch], seeds=[])
    with pytest.raises(ConfigurationError, match="longest"):
        await explore(in_order, activities=[fetch], longest=-1)


async def test_an_error_in_the_code_of_a_class_is_shown() -> None:
    @workflow.defn
    class Buggy:
        @workflow.run
        async def run(self) -> None:
            await workflow.sleep_for(1)
            raise ZeroDivisionError("a bug")

    with pytest.raises(ExplorationError, match="seed 0: ZeroDivisionError: a bug"):
        await explore(Buggy.run)


async def test_an_application_error_of_an_activity_keeps_its_type() -> None:
    @activity.defn
    async def refuses() -> None:
        raise ApplicationError("no", type="Refused", non_retryable=True)

    @workflow.defn
    async def asks() -> str:
        try:
            await refuses()
        except Exception as error:
            return str(getattr(error.__cause__, "type", None))
        return "?"

    assert {each.result for each in await explore(asks, activities=[refuses], seeds=range(3))} == {"Refused"}


def test_neither_hypothesis_nor_asyncpg_is_imported_for_it() -> None:
    code = "import sys; from memflow_testing import explore; import memflow_testing.strategies; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hypothesis" not in loaded
