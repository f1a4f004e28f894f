"""Child workflows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import (
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    TimerFired,
)
from memflow.core.interrupts import Complete, SendSignal, StartChild, StopOther
from memflow.errors import (
    ApplicationError,
    ChildWorkflowError,
    ConfigurationError,
    NotInWorkflowError,
    PayloadError,
    WorkflowAlreadyStartedError,
)
from memflow.failure import Failure
from memflow.options import CancellationType, ChildOptions, ParentClosePolicy
from tests.workflow.driving import CODEC, Driven, encoded

FACTS = {"workflow": "ship", "workflow_id": "c", "run_id": "r"}
FAILED = Failure("child", "child failed", cause=Failure("application", "sank", type="Sank"), facts=FACTS)
STOPPED = Failure("child", "child cancelled", cause=Failure("cancelled", "cancelled"), facts=FACTS)


@dataclass
class Parcel:
    to: str


@workflow.defn
async def ship(parcel: Parcel, express: bool = False) -> Parcel:
    return parcel


@workflow.defn(name="Shipping")
class Ship:
    @workflow.run
    async def run(self, parcel: Parcel) -> int:
        return 1


def child_of(interrupts: list[Any]) -> StartChild:
    (child,) = [each for each in interrupts if isinstance(each, StartChild)]
    return child


def test_executing_one_gives_its_typed_result() -> None:
    @workflow.defn
    async def order() -> Parcel:
        return await workflow.execute_child(ship, Parcel("ann"), id="ship-1", task_queue="ships")

    with Driven(order) as driven:
        child = child_of(driven.start())
        assert (child.op, child.workflow, child.workflow_id, child.announce) == (1, "ship", "ship-1", False)
        assert CODEC.decode(child.input) == [{"to": "ann"}]
        assert child.options == ChildOptions(task_queue="ships")
        driven.turn(ChildCompleted(1, encoded({"to": "bob"})))
        assert driven.result() == Parcel("bob")


def test_a_class_and_a_name_work_as_well() -> None:
    @workflow.defn
    async def order() -> list[Any]:
        one = await workflow.execute_child(Ship.run, Parcel("ann"))
        two = await workflow.execute_child("elsewhere", args=[1], result_type=Parcel, parent_close_policy="abandon")
        return [one, two.to]

    with Driven(order) as driven:
        assert child_of(driven.start()).workflow == "Shipping"
        child = child_of(driven.turn(ChildCompleted(1, encoded(5))))
        assert (child.workflow, child.options.parent_close_policy) == ("elsewhere", ParentClosePolicy.ABANDON)
        driven.turn(ChildCompleted(2, encoded({"to": "x"})))
        assert driven.result() == [5, "x"]


def test_ids_follow_from_parent_and_op_and_are_never_those_of_another_run() -> None:
    @workflow.defn
    async def order() -> None:
        await asyncio.gather(workflow.execute_child(ship, Parcel("a")), workflow.execute_child(ship, Parcel("b")))

    seen: list[tuple[str, str]] = []
    for run_id in ("run-1", "run-2", "run-1"):
        with Driven(order, run_id=run_id) as driven:
            seen.append(tuple((each.workflow_id, each.run_id) for each in driven.start() if isinstance(each, StartChild)))  # type: ignore[arg-type]
    assert seen[0] == seen[2]
    assert len({*seen[0], *seen[1]}) == 4


@workflow.defn
async def with_handle() -> tuple[str, Parcel, Parcel]:
    handle = await workflow.start_child(ship, Parcel("ann"), id="c")
    await handle.signal("hurry", 5)
    await handle.cancel(reason="too slow")
    return handle.id, await handle, await handle.result()


def test_a_handle_signals_cancels_and_gives_the_result_more_than_once() -> None:
    with Driven(with_handle) as driven:
        child = child_of(driven.start())
        assert child.announce
        assert driven.turn(ChildStarted(1)) == [
            SendSignal(2, "hurry", encoded(5), "c", child.run_id),
            StopOther(3, "cancel", "c", child.run_id, "too slow", child_op=1),
        ]
        driven.turn(ChildCompleted(1, encoded({"to": "bob"})))
        assert driven.result() == ("c", Parcel("bob"), Parcel("bob"))


def test_the_end_may_come_with_the_start_or_before_anybody_asks() -> None:
    @workflow.defn
    async def order() -> Parcel:
        handle = await workflow.start_child(ship, Parcel("ann"))
        await workflow.sleep_for(60)
        return await handle

    with Driven(order) as driven:
        driven.start()
        driven.turn(ChildStarted(1), ChildCompleted(1, encoded({"to": "bob"})))
        driven.turn(TimerFired(2), after=timedelta(minutes=1))
        assert driven.result() == Parcel("bob")


@pytest.mark.parametrize("announce", [True, False])
def test_a_taken_id_is_an_error_of_its_own(announce: bool) -> None:
    @workflow.defn
    async def order() -> list[Any]:
        verb: Any = workflow.start_child if announce else workflow.execute_child
        try:
            await verb(ship, Parcel("ann"), id="c")
        except WorkflowAlreadyStartedError as taken:
            return [taken.workflow_id, taken.workflow, taken.run_id]
        return []

    with Driven(order) as driven:
        driven.start()
        driven.turn(ChildNotStarted(1, "c", "other-run"))
        assert driven.result() == ["c", "ship", "other-run"]


@pytest.mark.parametrize("answer", [ChildFailed(1, FAILED), ChildCancelled(1, FAILED)])
def test_a_failure_is_raised_with_its_cause(answer: Any) -> None:
    @workflow.defn
    async def order() -> list[Any]:
        try:
            await workflow.execute_child(ship, Parcel("ann"))
        except ChildWorkflowError as error:
            assert isinstance(error.cause, ApplicationError)
            return [error.workflow, error.workflow_id, error.cause.type]
        return []

    with Driven(order) as driven:
        driven.start()
        driven.turn(answer)
        assert driven.result() == ["ship", "c", "Sank"]


@workflow.defn
async def impatient(how: str) -> str:
    try:
        async with asyncio.timeout(5):
            await workflow.execute_child(ship, Parcel("ann"), id="c", cancellation_type=how)
    except TimeoutError:
        return "too slow"
    return "in time"


def test_cancelling_waits_for_the_child_by_default() -> None:
    with Driven(impatient, CancellationType.WAIT_CANCELLATION_COMPLETED) as driven:
        child = child_of(driven.start())
        (stop,) = driven.turn(TimerFired(1), after=timedelta(seconds=5))
        assert isinstance(stop, StopOther)
        assert (stop.how, stop.workflow_id, stop.run_id, stop.child_op) == ("cancel", "c", child.run_id, 2)
        driven.turn(ChildCancelled(2, STOPPED))
        assert driven.result() == "too slow"


def test_or_only_asks_it_to_stop() -> None:
    with Driven(impatient, "try_cancel") as driven:
        driven.start()
        assert [type(each) for each in driven.turn(TimerFired(1), after=timedelta(seconds=5))] == [StopOther, Complete]
        assert driven.result() == "too slow"


def test_or_leaves_it_alone() -> None:
    with Driven(impatient, "abandon") as driven:
        driven.start()
        assert [type(each) for each in driven.turn(TimerFired(1), after=timedelta(seconds=5))] == [Complete]
        assert driven.result() == "too slow"


def test_a_cancelled_start_stops_the_child_and_goes_on_at_once() -> None:
    @workflow.defn
    async def order() -> str:
        try:
            async with asyncio.timeout(5):
                await workflow.start_child(ship, Parcel("ann"), id="c")
        except TimeoutError:
            return "too slow"
        return "in time"

    with Driven(order) as driven:
        driven.start()
        assert [type(each) for each in driven.turn(TimerFired(1), after=timedelta(seconds=5))] == [StopOther, Complete]
        assert driven.result() == "too slow"


def test_mistakes_take_no_op() -> None:
    @workflow.defn
    async def order() -> None:
        wrong: list[tuple[type[Exception], Any]] = [
            (PayloadError, lambda: workflow.execute_child(ship, "ann")),  # type: ignore[call-overload]
            (TypeError, lambda: workflow.execute_child(ship)),  # type: ignore[call-overload]
            (ConfigurationError, lambda: workflow.execute_child(ship, Parcel("a"), id="")),
            (ConfigurationError, lambda: workflow.execute_child(ship, Parcel("a"), parent_close_policy="forget")),
            (ConfigurationError, lambda: workflow.execute_child(ship, Parcel("a"), queue="x")),  # type: ignore[call-overload]
            (ConfigurationError, lambda: workflow.execute_child(CODEC.encode, 1)),  # type: ignore[call-overload]
        ]
        for kind, call in wrong:
            with pytest.raises(kind):
                await call()
        await workflow.start_child(ship, Parcel("ann"))

    with Driven(order) as driven:
        assert child_of(driven.start()).op == 1


async def test_outside_a_workflow_each_verb_names_itself() -> None:
    with pytest.raises(NotInWorkflowError, match="start_child"):
        await workflow.start_child(ship, Parcel("a"))
    with pytest.raises(NotInWorkflowError, match="execute_child"):
        await workflow.execute_child(ship, Parcel("a"))
