"""Calling activities: what is asked, what comes of the answer, what cancelling does."""

from __future__ import annotations

import asyncio
import types
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    CancelRequested,
    TimerFired,
)
from memflow.core.interrupts import CancelActivity, CancelTimer, ScheduleActivity, StartTimer
from memflow.errors import ActivityError, ApplicationError, CancelledError, ConfigurationError, NotInWorkflowError, PayloadError
from memflow.failure import Failure
from memflow.options import ActivityOptions, CancellationType
from tests.workflow.driving import CODEC, T0, Driven, encoded

FAILED = Failure(
    "activity",
    "activity 'charge' failed: declined",
    cause=Failure("application", "declined", type="Declined"),
    facts={"activity": "charge", "activity_id": "1", "attempt": 3, "retry_state": "non_retryable_failure"},
)
STOPPED = Failure(
    "activity", "cancelled", cause=Failure("cancelled", "cancelled"), facts={"activity": "charge", "activity_id": "1"}
)


@dataclass
class Order:
    id: str
    image: bytes = b""


@activity.defn(retry=RetryPolicy(maximum_attempts=3))
async def charge(order: Order, cents: int = 100, currency: str = "EUR") -> Order:
    return order


async def stub(a: int, b: str = "x") -> float:
    raise NotImplementedError


class Mail:
    @activity.defn(name="post")
    def send(self, to: str) -> int:
        return 1

    async def plain(self, count: int) -> list[str]:
        raise NotImplementedError

    def sync(self) -> int:
        return 1


class Elsewhere(Protocol):
    async def translate(self, text: str, language: str = "en") -> str: ...


def asked(driven: Driven, *more: Any) -> list[tuple[str, Any, ActivityOptions]]:
    return [
        (each.name, CODEC.decode(each.input), each.options) for each in driven.start(*more) if isinstance(each, ScheduleActivity)
    ]


def names_and_inputs(driven: Driven) -> list[tuple[str, Any]]:
    return [(name, input) for name, input, _ in asked(driven)]


def test_a_call_schedules_with_typed_arguments_and_gives_the_typed_result() -> None:
    @workflow.defn
    async def order() -> Order:
        return await charge(Order("a", b"\xff"), currency="USD")

    with Driven(order) as driven:
        assert asked(driven) == [
            ("charge", [{"id": "a", "image": "_w=="}, 100, "USD"], ActivityOptions(retry=RetryPolicy(maximum_attempts=3)))
        ]
        driven.turn(ActivityCompleted(1, encoded(Order("b", b"\xfe"), Order)))
        assert driven.result() == Order("b", b"\xfe")


def test_every_way_to_name_one() -> None:
    @workflow.defn
    async def order() -> None:
        mail = Mail()
        workflow.start_activity("by name", 1, "two")
        workflow.start_activity("by name", args=[1, "two"])
        workflow.start_activity(charge, Order("a"))
        workflow.start_activity(stub, 1)
        workflow.start_activity(Mail.send, "unbound")
        workflow.start_activity(mail.send, "bound")
        workflow.start_activity(Mail.plain, 1)
        workflow.start_activity(mail.plain, 2)
        await asyncio.gather(Mail.send(mail, "called"), mail.send("called bound"))

    with Driven(order) as driven:
        assert names_and_inputs(driven) == [
            ("by name", [1, "two"]),
            ("by name", [1, "two"]),
            ("charge", [{"id": "a", "image": ""}]),
            ("stub", [1]),
            ("post", ["unbound"]),
            ("post", ["bound"]),
            ("plain", [1]),
            ("plain", [2]),
            ("post", ["called"]),
            ("post", ["called bound"]),
        ]


def test_proxies_of_modules_classes_instances_protocols_and_functions() -> None:
    module = types.ModuleType("shop")
    module.charge, module.stub = charge, stub  # type: ignore[attr-defined]

    @workflow.defn
    async def order() -> list[Any]:
        shop = workflow.proxy_activities(module, task_queue="shop")
        mail = workflow.proxy_activities(Mail, task_queue="mail")
        same = workflow.proxy_activities(Mail(), task_queue="mail")
        other = workflow.proxy_activities(Elsewhere, task_queue="elsewhere")
        one = workflow.proxy_activities(stub, task_queue="one")
        two, three = workflow.proxy_activities(charge, stub, task_queue="pair")
        calls: list[Any] = [
            shop.charge(Order("a")),
            shop.stub(1, b="y"),
            mail.send("x"),
            mail.plain(1),
            same.send("y"),
            other.translate("hi", language="de"),
            one(3),
            two(Order("b"), 5),
            three(4),
        ]
        return list(await asyncio.gather(*calls))

    with Driven(order) as driven:
        seen = asked(driven)
        assert [(name, input, options.task_queue) for name, input, options in seen] == [
            ("charge", [{"id": "a", "image": ""}], "shop"),
            ("stub", [1, "y"], "shop"),
            ("post", ["x"], "mail"),
            ("plain", [1], "mail"),
            ("post", ["y"], "mail"),
            ("translate", ["hi", "de"], "elsewhere"),
            ("stub", [3], "one"),
            ("charge", [{"id": "b", "image": ""}, 5], "pair"),
            ("stub", [4], "pair"),
        ]
        assert seen[0][2].retry.maximum_attempts == 3


def test_options_of_the_call_go_before_those_of_the_proxy_and_those_before_the_declared_ones() -> None:
    proxy = workflow.proxy_activities(charge, task_queue="proxy", heartbeat_timeout="5 seconds", start_to_close_timeout=10)

    @workflow.defn
    async def order() -> None:
        await workflow.execute_activity(proxy, Order("a"), start_to_close_timeout="1 minute", heartbeat_timeout=None)

    with Driven(order) as driven:
        ((_, _, options),) = asked(driven)
        assert options == ActivityOptions(
            task_queue="proxy", start_to_close_timeout=timedelta(minutes=1), retry=RetryPolicy(maximum_attempts=3)
        )


def test_headers_travel() -> None:
    @workflow.defn
    async def order() -> None:
        await workflow.execute_activity(charge, Order("a"), headers={"trace": "1"})

    with Driven(order) as driven:
        (schedule,) = driven.start()
        assert isinstance(schedule, ScheduleActivity) and schedule.headers == {"trace": "1"}


@pytest.mark.parametrize("arrival", [ActivityFailed(1, FAILED), ActivityTimedOut(1, FAILED), ActivityCancelled(1, FAILED)])
def test_a_failure_is_raised_with_its_cause(arrival: Any) -> None:
    @workflow.defn
    async def order() -> list[str]:
        try:
            await charge(Order("a"))
        except ActivityError as error:
            assert isinstance(error.cause, ApplicationError)
            return [error.activity, str(error.attempt), str(error.cause), error.cause.type]
        return []

    with Driven(order) as driven:
        driven.start()
        driven.turn(arrival)
        assert driven.result() == ["charge", "3", "declined", "Declined"]


def test_a_failure_may_be_the_result_instead() -> None:
    @workflow.defn
    async def order() -> str:
        careful = workflow.proxy_activities(charge, throw_on_error=False)
        error: object = await careful(Order("a"))
        return type(error).__name__

    with Driven(order) as driven:
        driven.start()
        driven.turn(ActivityFailed(1, FAILED))
        assert driven.result() == "ActivityError"


def test_an_argument_that_cannot_be_stored_takes_no_op() -> None:
    @workflow.defn
    async def order() -> str:
        try:
            await charge("no order")  # type: ignore[arg-type]
        except PayloadError as refused:
            await workflow.sleep_for(1)
            return refused.path
        return ""

    with Driven(order) as driven:
        assert driven.start() == [StartTimer(1, T0 + timedelta(seconds=1))]
        driven.turn(TimerFired(1))
        assert driven.result() == "$[0]"


def test_a_result_that_does_not_fit_is_an_error_at_the_call() -> None:
    @workflow.defn
    async def order() -> str:
        try:
            await workflow.execute_activity("count", result_type=int)
        except PayloadError as refused:
            return str(refused)
        return ""

    with Driven(order) as driven:
        driven.start()
        driven.turn(ActivityCompleted(1, encoded("many")))
        assert "valid integer" in driven.result()


@workflow.defn
async def impatient(how: str) -> str:
    try:
        async with asyncio.timeout(5):
            await workflow.execute_activity(charge, Order("a"), cancellation_type=how)
    except TimeoutError:
        return "too slow"
    except ActivityError as error:
        return f"failed: {error.cause}"
    return "in time"


FIRED = TimerFired(1)  # the timeout began before the activity


def test_try_cancel_asks_the_activity_to_stop_and_does_not_wait() -> None:
    with Driven(impatient, "try_cancel") as driven:
        driven.start()
        assert CancelActivity(2) in driven.turn(FIRED, after=timedelta(seconds=5))
        assert driven.result() == "too slow"


def test_abandon_asks_nobody() -> None:
    with Driven(impatient, "abandon") as driven:
        driven.start()
        assert [type(each).__name__ for each in driven.turn(FIRED, after=timedelta(seconds=5))] == ["Complete"]
        assert driven.result() == "too slow"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (ActivityCancelled(2, STOPPED), "too slow"),
        (ActivityCompleted(2, encoded(Order("a"), Order)), "in time"),
        (ActivityFailed(2, FAILED), "failed: declined"),
    ],
)
def test_wait_cancellation_completed_gives_what_really_came_of_it(answer: Any, result: str) -> None:
    with Driven(impatient, "wait_cancellation_completed") as driven:
        driven.start()
        assert driven.turn(FIRED, after=timedelta(seconds=5)) == [CancelActivity(2)]
        driven.turn(answer)
        assert driven.result() == result


def test_a_cancelled_run_cancels_what_it_waits_for() -> None:
    @workflow.defn
    async def order() -> Order:
        return await charge(Order("a"))

    with Driven(order) as driven:
        driven.start()
        assert driven.turn(CancelRequested("enough"))[0] == CancelActivity(1)
        assert isinstance(driven.failure(), CancelledError)


def test_a_handle_is_a_task() -> None:
    @workflow.defn
    async def order() -> list[bool]:
        handle = workflow.start_activity(charge, Order("a"))
        slow = workflow.start_activity(charge, Order("b"))
        never = workflow.start_activity(charge, Order("c"))
        never.cancel()
        await handle
        slow.cancel()
        await asyncio.wait([slow, never])
        return [isinstance(handle, asyncio.Task), handle.done(), slow.cancelled(), never.cancelled()]

    with Driven(order) as driven:
        assert [each.op for each in driven.start() if isinstance(each, ScheduleActivity)] == [1, 2]
        assert CancelActivity(2) in driven.turn(ActivityCompleted(1, encoded(Order("a"), Order)))
        assert driven.result() == [True] * 4


def test_asyncio_timeouts_around_an_activity_are_taken_back() -> None:
    with Driven(impatient, CancellationType.TRY_CANCEL) as driven:
        driven.start()
        assert CancelTimer(1) in driven.turn(ActivityCompleted(2, encoded(Order("a"), Order)))
        assert driven.result() == "in time"


def test_mistakes_are_told_clearly() -> None:
    mail = workflow.proxy_activities(Mail)
    with pytest.raises(AttributeError, match="Mail has no activity 'sned'; did you mean send"):
        _ = mail.sned  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"Mail\.sync is awaited in a workflow: declare it `async def`"):
        mail.sync()
    with pytest.raises(NotInWorkflowError, match="post"):
        mail.send("x")  # type: ignore[unused-coroutine]
    with pytest.raises(ConfigurationError, match="did you mean 'task_queue'"):
        workflow.proxy_activities(Mail, taskqueue="x")  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="say which activities"):
        workflow.proxy_activities()
    with pytest.raises(NotInWorkflowError, match="start_activity"):
        workflow.start_activity("x")


def test_mistakes_in_a_call_are_told_clearly() -> None:
    seen: list[str] = []

    @workflow.defn
    async def order() -> None:
        for call in (
            lambda: charge(),  # type: ignore[call-arg]
            lambda: charge(Order("a"), 1, "EUR", 4),  # type: ignore[call-arg]
            lambda: charge(Order("a"), cent=1),  # type: ignore[call-arg]
            lambda: charge(Order("a"), order=Order("b")),  # type: ignore[misc]
            lambda: workflow.execute_activity("x", 1, args=[1]),
            lambda: workflow.execute_activity(Order, "x"),  # type: ignore[call-overload]
        ):
            try:
                await call()
            except (TypeError, ConfigurationError) as error:
                seen.append(str(error))

    with Driven(order) as driven:
        driven.start()
        assert driven.result() is None
    assert seen[:6] == [
        "charge() takes 1 to 3 arguments (order, cents, currency), order is missing",
        "charge() takes 1 to 3 arguments (order, cents, currency), 4 were given",
        "charge() has no parameter 'cent'; it has order, cents, currency",
        "charge() got two values for 'order'",
        "execute_activity: give the arguments one by one or as args=[...], not both",
        f"{Order!r} is no activity; give a function, a method or a name",
    ]
