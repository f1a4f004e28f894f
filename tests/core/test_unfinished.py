"""A run that ends over its running handlers says so: in the log, and as a Python warning of its own kind."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import RunStarted, SignalReceived, Turn, UpdateReceived
from memflow.core.definition import RunInfo
from memflow.core.interrupts import Complete, Interrupt
from memflow.core.replay import Replay
from memflow.payload import NOTHING
from memflow.workflow.define import definition_of
from tests.core.playing import CODEC, OPEN, T0


def handlers(policy: str) -> Any:
    @workflow.defn(name="leaves")
    class Leaves:
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_for("end")

        @workflow.signal(unfinished_policy=policy)
        async def slow(self) -> None:
            await workflow.sleep_for("1 hour")

        @workflow.update(unfinished_policy=policy)
        async def change(self) -> None:
            await workflow.sleep_for("1 hour")

    return Leaves


def ended(policy: str) -> list[Interrupt]:
    """What the last turn of a run asks, in which it ends over its running handlers."""
    definition = definition_of(handlers(policy))
    replay = Replay(definition, RunInfo("default", "w-1", "run-1", definition.name, "default", T0), CODEC)
    OPEN.append(replay)
    replay.advance(Turn(T0, [RunStarted()]))
    replay.advance(Turn(T0, [SignalReceived("slow", NOTHING), UpdateReceived("u-1", "change")]))
    return replay.advance(Turn(T0, [SignalReceived("end", NOTHING)]))


def test_there_is_a_warning_per_kind_of_handler() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert isinstance(ended("warn_and_abandon")[-1], Complete)
    assert {each.category for each in caught} == {
        workflow.UnfinishedSignalHandlersWarning,
        workflow.UnfinishedUpdateHandlersWarning,
    }
    assert any("change (u-1)" in str(each.message) for each in caught)


def test_none_where_nobody_minds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(ended("abandon")[-1], Complete)


def test_where_warnings_are_errors_the_run_ends_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(ended("warn_and_abandon")[-1], Complete)
    assert "ended while handlers were running" in caplog.text
