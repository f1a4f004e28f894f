"""Durable time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from memflow import workflow
from memflow.core.arrivals import CancelRequested, TimerFired
from memflow.core.interrupts import CancelTimer, StartTimer
from memflow.errors import CancelledError, ConfigurationError, NotInWorkflowError
from tests.workflow.driving import T0, Driven

WEEK = timedelta(weeks=1)


def test_a_weekly_loop_sleeps_and_goes_on() -> None:
    @workflow.defn
    async def weekly() -> list[float]:
        slept: list[float] = []
        while seconds := await workflow.sleep_for("1 week"):
            slept.append(seconds)
            if len(slept) == 2:
                break
        return slept

    with Driven(weekly) as driven:
        assert driven.start() == [StartTimer(1, T0 + WEEK)]
        assert driven.turn(TimerFired(1), after=WEEK) == [StartTimer(2, T0 + 2 * WEEK)]
        driven.turn(TimerFired(2), after=WEEK)
        assert driven.result() == [604_800.0, 604_800.0]


def test_no_time_at_all_asks_for_nothing() -> None:
    @workflow.defn
    async def nap() -> float:
        past = await workflow.sleep_until(T0 - WEEK)
        return past + await workflow.sleep_for(0)

    with Driven(nap) as driven:
        assert len(driven.start()) == 1
        assert driven.result() == 0.0


def test_until_an_instant_of_any_zone_to_the_microsecond() -> None:
    instant = datetime(2026, 1, 1, 9, 0, 0, 1, tzinfo=timezone(timedelta(hours=5)))

    @workflow.defn
    async def nap() -> float:
        return await workflow.sleep_until(instant)

    with Driven(nap) as driven:
        assert driven.start() == [StartTimer(1, datetime(2026, 1, 1, 4, 0, 0, 1, tzinfo=UTC))]
        driven.turn(TimerFired(1), after=timedelta(hours=5))
        assert driven.result() == 4 * 3600 + 0.000001


def test_now_is_the_time_of_the_turn() -> None:
    @workflow.defn
    async def times() -> list[datetime | float]:
        first = workflow.now()
        await asyncio.sleep(60)
        return [first, workflow.now(), workflow.time()]

    with Driven(times) as driven:
        driven.start()
        driven.turn(TimerFired(1), after=timedelta(seconds=90))
        late = T0 + timedelta(seconds=90)
        assert driven.result() == [T0, late, late.timestamp()]


def test_cancelling_a_sleep_takes_the_timer_back() -> None:
    @workflow.defn
    async def nap() -> None:
        await workflow.sleep_for("1 week")

    with Driven(nap) as driven:
        driven.start()
        assert driven.turn(CancelRequested())[0] == CancelTimer(1)
        assert isinstance(driven.failure(), CancelledError)


@pytest.mark.parametrize("wrong", ["-1 second", float("nan"), "soon", "2000 years"])
def test_a_delay_that_makes_no_sense_is_a_value_error(wrong: str | float) -> None:
    @workflow.defn
    async def nap() -> str:
        try:
            await workflow.sleep_for(wrong)
        except ValueError as refused:
            return str(refused)
        return ""

    with Driven(nap) as driven:
        driven.start()
        assert driven.result().startswith("sleep_for: ")


def test_an_instant_needs_a_zone() -> None:
    @workflow.defn
    async def nap() -> str:
        with pytest.raises(ConfigurationError) as refused:
            await workflow.sleep_until(datetime(2026, 1, 1))
        return str(refused.value)

    with Driven(nap) as driven:
        driven.start()
        assert "has no time zone" in driven.result()


async def test_outside_a_workflow_each_verb_names_itself() -> None:
    with pytest.raises(NotInWorkflowError, match=r"sleep_for was called outside a workflow"):
        await workflow.sleep_for(1)
    with pytest.raises(NotInWorkflowError, match="sleep_until"):
        await workflow.sleep_until(T0)
    with pytest.raises(NotInWorkflowError, match="now"):
        workflow.now()
    with pytest.raises(NotInWorkflowError, match="time"):
        workflow.time()
