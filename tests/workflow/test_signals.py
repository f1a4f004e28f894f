"""Waiting for signals and conditions, and sending signals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import SignalReceived, TimerFired
from memflow.core.interrupts import AwaitSignal, CancelTimer, CancelWait, Complete, SendSignal
from memflow.errors import ConfigurationError, NotInWorkflowError, PayloadError
from tests.workflow.driving import Driven, encoded


@dataclass
class Approval:
    by: str
    amount: int = 0


HOUR = timedelta(hours=1)


def test_a_signal_comes_as_its_type() -> None:
    @workflow.defn
    async def order() -> Approval:
        return await workflow.wait_for("approved", type=Approval)

    with Driven(order) as driven:
        assert driven.start() == [AwaitSignal(1, "approved")]
        driven.turn(SignalReceived("approved", encoded({"by": "ann"}), 1))
        assert driven.result() == Approval("ann")


def test_two_waits_get_each_their_own_in_whatever_order_they_come() -> None:
    @workflow.defn
    async def both() -> list[Any]:
        return list(await asyncio.gather(workflow.wait_for("first", type=bool), workflow.wait_for("second", type=int)))

    with Driven(both) as driven:
        driven.start()
        driven.turn(SignalReceived("second", encoded(12345), 2))
        driven.turn(SignalReceived("first", encoded(True), 1))
        assert driven.result() == [True, 12345]


def test_two_waits_for_one_id_get_one_signal_each_in_order() -> None:
    @workflow.defn
    async def both() -> list[int]:
        return list(await asyncio.gather(workflow.wait_for("n", type=int), workflow.wait_for("n", type=int)))

    with Driven(both) as driven:
        assert driven.start() == [AwaitSignal(1, "n"), AwaitSignal(2, "n")]
        driven.turn(SignalReceived("n", encoded(1), 1))
        driven.turn(SignalReceived("n", encoded(2), 2))
        assert driven.result() == [1, 2]


@workflow.defn
async def patient(use_default: bool) -> str:
    if use_default:
        return await workflow.wait_for("approved", type=str, timeout="1 hour", default="nobody came")
    try:
        return await workflow.wait_for("approved", type=str, timeout="1 hour")
    except TimeoutError as late:
        return str(late)


def test_in_time_the_timer_is_taken_back() -> None:
    with Driven(patient, False) as driven:
        driven.start()
        assert CancelTimer(1) in driven.turn(SignalReceived("approved", encoded("ann"), 2), after=HOUR / 2)
        assert driven.result() == "ann"


@pytest.mark.parametrize(("use_default", "result"), [(False, "no signal 'approved' within 3600 s"), (True, "nobody came")])
def test_too_late_the_wait_is_taken_back(use_default: bool, result: str) -> None:
    with Driven(patient, use_default) as driven:
        driven.start()
        assert CancelWait(2, "approved") in driven.turn(TimerFired(1), after=HOUR)
        assert driven.result() == result


def test_a_payload_of_another_type_is_an_error_at_the_wait() -> None:
    @workflow.defn
    async def order() -> str:
        try:
            await workflow.wait_for("approved", type=Approval)
        except PayloadError as refused:
            return refused.path
        return ""

    with Driven(order) as driven:
        driven.start()
        driven.turn(SignalReceived("approved", encoded({"by": 5}), 1))
        assert driven.result() == "$.by"


def test_conditions_are_looked_at_after_each_turn() -> None:
    @workflow.defn
    async def counting() -> int:
        seen = 0

        async def listen() -> None:
            nonlocal seen
            while True:
                seen += await workflow.wait_for("n", type=int)

        listener = asyncio.create_task(listen())
        await workflow.wait_condition(lambda: seen >= 3)
        listener.cancel()
        return seen

    with Driven(counting) as driven:
        driven.start()
        driven.turn(SignalReceived("n", encoded(1), 1))
        assert CancelWait(3, "n") in driven.turn(SignalReceived("n", encoded(2), 2))
        assert driven.result() == 3


def test_a_condition_may_take_too_long() -> None:
    @workflow.defn
    async def never() -> str:
        try:
            await workflow.wait_condition(lambda: False, timeout="1 hour")
        except TimeoutError as late:
            return str(late)
        return ""

    with Driven(never) as driven:
        driven.start()
        driven.turn(TimerFired(1), after=HOUR)
        assert driven.result() == "the condition was not met within 3600 s"


def test_a_signal_is_sent_by_id() -> None:
    @workflow.defn
    async def order() -> None:
        await workflow.signal("plain", {"a": [1]})
        await workflow.signal("typed", Approval("ann"), type=Approval)
        await workflow.signal("empty")

    with Driven(order) as driven:
        assert driven.start() == [
            SendSignal(1, "plain", encoded({"a": [1]})),
            SendSignal(2, "typed", encoded({"by": "ann", "amount": 0})),
            SendSignal(3, "empty", encoded(None)),
            Complete(encoded(None)),
        ]


def test_a_payload_that_cannot_be_sent_takes_no_op() -> None:
    @workflow.defn
    async def order() -> None:
        with pytest.raises(PayloadError, match="Approval"):
            await workflow.signal("x", Approval("ann"))
        with pytest.raises(ConfigurationError, match="signal id"):
            await workflow.signal("", 1)
        with pytest.raises(ConfigurationError, match="signal id"):
            await workflow.wait_for("a\0")
        await workflow.signal("x", 1)

    with Driven(order) as driven:
        assert driven.start()[0] == SendSignal(1, "x", encoded(1))


async def test_outside_a_workflow_each_verb_names_itself() -> None:
    with pytest.raises(NotInWorkflowError, match="wait_for was"):
        await workflow.wait_for("x")
    with pytest.raises(NotInWorkflowError, match="wait_condition"):
        await workflow.wait_condition(lambda: True)
    with pytest.raises(NotInWorkflowError, match="signal"):
        await workflow.signal("x")
