"""Journals drawn by hypothesis are valid, various, and hold the law: live equals rebuilt after every entry."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from memflow import RetryPolicy, activity, workflow
from memflow.client.histories import WorkflowHistory
from memflow.errors import ConfigurationError, NondeterminismError
from memflow_testing import Replayer
from memflow_testing.strategies import assert_rebuilds, journals

FIRST = settings(
    max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
"""The first that is found will do: making it small may take minutes, each try being a whole run."""

CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@activity.defn(retry=RetryPolicy(maximum_attempts=2))
async def price(item: str) -> int:
    raise AssertionError("journals call no activity")


@workflow.defn
async def shop(items: list[str]) -> int:
    prices = await asyncio.gather(*(price(item) for item in items[:3]), return_exceptions=True)
    total = sum(each for each in prices if isinstance(each, int))
    if await workflow.wait_for("double", timeout="1 hour", default=False):
        total *= 2
    return total


@workflow.defn
async def shop_changed(items: list[str]) -> int:
    await workflow.sleep_for("1 minute")
    return await price(items[0] if items else "nothing")


MEMORY: list[int] = []


@workflow.defn
async def moody() -> None:
    MEMORY.append(1)
    if len(MEMORY) % 2:
        await workflow.sleep_for(1)
    await workflow.sleep_for(2)


DRAWN = journals(shop, activities=[price], signals={"double": st.booleans()})


@CALM
@given(DRAWN)
def test_what_is_live_is_what_is_rebuilt_after_every_turn(history: WorkflowHistory) -> None:
    assert_rebuilds(shop, history)


@CALM
@given(DRAWN)
def test_they_are_histories_that_can_be_exported_and_replayed(history: WorkflowHistory) -> None:
    again = WorkflowHistory.from_json(history.to_json())
    assert again.journal == history.journal
    asyncio.run(Replayer(workflows=[shop]).replay_workflow(again))


@pytest.mark.parametrize("kind", ["activity_failed", "activity_completed", "signal_received", "timer_fired", "complete"])
def test_they_hold_what_a_world_can_bring(kind: str) -> None:
    found = find(DRAWN, lambda history: any(each.kind == kind for each in history), settings=FIRST)
    assert found.journal[0].seq == 1


def test_changed_code_does_not_fit_them() -> None:
    history = find(DRAWN, lambda each: len(each) > 3, settings=FIRST)
    with pytest.raises(NondeterminismError):
        assert_rebuilds(shop_changed, history)


def test_a_workflow_that_asks_something_outside_its_run_is_caught() -> None:
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(journals(moody))
    def law(history: WorkflowHistory) -> None:
        assert_rebuilds(moody, history)

    with pytest.raises((NondeterminismError, AssertionError, BaseExceptionGroup)):
        law()


@settings(max_examples=10, deadline=None)
@given(journals(shop, ["a"], results={price: 7}, failures=False))
def test_values_may_be_given(history: WorkflowHistory) -> None:
    assert all(each.kind != "activity_failed" for each in history)
    for each in history.journal:
        if type(each.entry).__name__ == "ActivityCompleted":
            assert each.entry.result.data == b"7"  # type: ignore[union-attr]


def test_what_cannot_be_drawn_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="turns=0 makes none"):
        journals(shop, turns=0)

    @settings(max_examples=50, deadline=None, database=None, phases=[Phase.generate])  # one hit will do, none is made small
    @given(journals(shop, ["a"], failures=False))
    def unknown(history: WorkflowHistory) -> None: ...

    with pytest.raises(ConfigurationError, match=r"activity 'price' is not known here; list it in activities=.*results="):
        unknown()
