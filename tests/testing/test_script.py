"""`Script`: a workflow driven by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memflow import activity, workflow
from memflow.core.arrivals import ActivityCompleted, SignalReceived, TimerFired
from memflow.core.interrupts import AwaitSignal, Complete, ScheduleActivity, StartTimer
from memflow.core.replay import TurnFailed
from memflow.errors import ConfigurationError, NondeterminismError
from memflow_testing import Replayer, Script
from memflow_testing.script import START


@activity.defn
async def reserve(item: str) -> str:
    return item


@workflow.defn
async def order(item: str) -> str:
    await workflow.sleep_for("1 day")
    return await reserve(item)


@workflow.defn
async def order_without_sleep(item: str) -> str:
    return await reserve(item)


@workflow.defn
async def approval() -> str:
    return str(await workflow.wait_for("yes", timeout="2 days", default="expired"))


@workflow.defn
async def ids() -> list[str]:
    return [str(workflow.uuid4()), str(workflow.random().random()), workflow.now().isoformat()]


def test_arrivals_in_interrupts_out() -> None:
    with Script(order, "x") as script:
        assert script.start() == [StartTimer(1, START + timedelta(days=1))]
        [asked] = script.send(TimerFired(1), after="1 day")
        assert isinstance(asked, ScheduleActivity)
        assert (asked.op, asked.name) == (2, "reserve")
        assert "reserve" in str(script.waiting)
        assert script.send(ActivityCompleted(2, script.payload("r-1"))) == [Complete(script.payload("r-1"))]
        assert script.result == "r-1"
        with pytest.raises(ConfigurationError, match="has ended"):
            script.send(TimerFired(3))


def test_sleep_fires_timers_at_their_time() -> None:
    with Script(approval) as script:
        first = script.start()
        assert {type(each) for each in first} == {AwaitSignal, StartTimer}
        assert script.sleep("1 day") == []
        script.sleep("1 day")
        assert script.result == "expired"


def test_a_message_may_come_with_the_start() -> None:
    with Script(approval) as script:
        [waiting] = [each for each in script.start() if isinstance(each, AwaitSignal)]
        script.send(SignalReceived("yes", script.payload("granted"), waiting.op))
        assert script.result == "granted"


def test_the_same_script_asks_the_same() -> None:
    results = []
    for _ in range(2):
        with Script(ids) as script:
            script.start()
            results.append(script.result)
    assert results[0] == results[1]


async def test_its_history_is_replayed_and_other_code_is_found_out() -> None:
    with Script(order, "x") as script:
        script.start()
        script.sleep("1 day")
        await Replayer(workflows=[order]).replay_workflow(script.history.to_json())
        with pytest.raises(NondeterminismError, match=r"sleep or a timeout was added or removed|a step was removed"):
            script.rebuilt(order_without_sleep)


def test_wrong_uses_are_refused() -> None:
    with Script(order, "x") as script:
        with pytest.raises(ConfigurationError, match="begin with start"):
            script.send(TimerFired(1))
        with pytest.raises(ConfigurationError, match="has not completed"):
            script.result  # noqa: B018 - looking is the test


@workflow.defn(failure_exception_types=[ValueError])
class Breaks:
    @workflow.run
    async def run(self) -> None:
        raise KeyError("a bug")


def test_a_bug_in_the_code_comes_out() -> None:
    with Script(Breaks) as script:
        with pytest.raises(TurnFailed) as failed:
            script.start()
        assert isinstance(failed.value.__cause__, KeyError)
