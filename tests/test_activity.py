"""Declaring activities, and what one sees while it runs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memflow import activity
from memflow.activity import ActivityContext, Info, activity_context, activity_definition_of, idempotency_key
from memflow.errors import ConfigurationError, NotInActivityError
from memflow.options import ActivityOptions, CancellationType
from memflow.retry import RetryPolicy


@activity.defn
async def charge(order: str, cents: int = 100) -> bool:
    """Take money."""
    return cents > 0


@activity.defn(name="weigh", retry=RetryPolicy(maximum_attempts=2), start_to_close_timeout="30 seconds", task_queue="scales")
def weigh_item(item: str) -> float:
    return 1.5


class Mail:
    def __init__(self, server: str) -> None:
        self.server = server

    @activity.defn
    async def send(self, to: str) -> str:
        return f"{self.server}: {to}"

    @activity.defn(name="count")
    def count_sent(self) -> int:
        return 3

    @staticmethod
    @activity.defn
    def footer(language: str) -> str:
        return f"-- {language}"


class LoudMail(Mail):
    @activity.defn
    async def send(self, to: str) -> str:
        return (await super().send(to)).upper()


async def test_outside_a_workflow_a_call_runs_the_body() -> None:
    assert await charge("o-1") is True
    assert await charge("o-1", cents=0) is False
    assert await weigh_item("x") == 1.5
    assert await Mail("a").send("bob") == "a: bob"
    assert await LoudMail("a").send("bob") == "A: BOB"
    assert await Mail("a").count_sent() == 3
    assert await Mail.footer("en") == "-- en"
    assert await Mail.send(Mail("b"), "x") == "b: x"


def test_it_still_looks_like_the_function() -> None:
    assert (charge.__name__, charge.__doc__) == ("charge", "Take money.")
    assert weigh_item.fn("x") == 1.5
    assert repr(weigh_item) == "<activity weigh>"


def test_a_definition_says_what_a_worker_needs() -> None:
    found = activity_definition_of(weigh_item)
    assert found is not None
    assert (found.name, found.is_async, found.transactional) == ("weigh", False, False)
    assert (found.argument_types, found.required_arguments, found.result_type) == ((str,), 1, float)
    assert found.options == ActivityOptions(
        task_queue="scales", start_to_close_timeout=timedelta(seconds=30), retry=RetryPolicy(maximum_attempts=2)
    )
    assert found.run("x") == 1.5


def test_methods_are_bound_to_their_instance() -> None:
    found = activity_definition_of(LoudMail("a").send)
    assert found is not None
    assert (found.name, found.argument_types, found.result_type, found.is_async) == ("send", (str,), str, True)
    assert asyncio.run(found.run("bob")) == "A: BOB"


def test_definitions_are_equal_when_they_run_the_same() -> None:
    mail = Mail("a")
    assert activity_definition_of(mail.send) == activity_definition_of(mail.send)
    assert activity_definition_of(mail.send) != activity_definition_of(Mail("a").send)
    assert activity_definition_of(charge) != activity_definition_of(weigh_item)


def test_a_method_needs_its_instance() -> None:
    with pytest.raises(ConfigurationError, match=r"Mail\.send is a method; list an instance"):
        activity_definition_of(Mail.send)


def test_other_things_are_no_activities() -> None:
    assert [activity_definition_of(each) for each in (print, Mail, Mail("a"), 5, None)] == [None] * 5


def test_types_of_a_local_function_are_found() -> None:
    class Local: ...

    @activity.defn
    async def local(given: Local) -> list[Local]:
        return [given]

    found = activity_definition_of(local)
    assert found is not None
    assert (found.argument_types, found.result_type) == ((Local,), list[Local])


def test_a_hint_that_cannot_be_found_is_named() -> None:
    async def broken(given: Any) -> None: ...

    broken.__annotations__["given"] = "Nowhere"
    found = activity_definition_of(activity.defn(broken))
    assert found is not None
    with pytest.raises(ConfigurationError, match="broken: its type hints name 'Nowhere'"):
        _ = found.argument_types


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rety": None}, "did you mean 'retry'"),
        ({"start_to_close_timeout": "soon"}, "start_to_close_timeout: 'soon'"),
        ({"heartbeat_timeout": 0}, "heartbeat_timeout: 0"),
        ({"retry": 3}, "retry: 3 is no RetryPolicy"),
        ({"task_queue": ""}, "task_queue: the text is empty"),
        ({"cancellation_type": "soon"}, "try_cancel, wait_cancellation_completed, abandon"),
        ({"headers": {"a": 1}}, "headers: 'a' is 1"),
        ({"name": "a\nb"}, "activity name: "),
    ],
)
def test_options_that_cannot_work_are_refused_at_the_decorator(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        activity.defn(**options)(star_free)


def test_what_cannot_be_an_activity_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lambda"):
        activity.defn(lambda: 1)
    with pytest.raises(ConfigurationError, match="functions and methods"):
        activity.defn(5)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="a transactional one is async"):
        activity.defn(transactional=True)(Mail.count_sent.fn)


def star_free(name: str) -> None: ...
def star(*names: str) -> None: ...
def stars(**options: str) -> None: ...
def keyword(*, only: int) -> None: ...


@pytest.mark.parametrize(("function", "shown"), [(star, r"\*names"), (stars, r"\*\*options"), (keyword, "the keyword-only only")])
def test_parameters_that_a_list_cannot_fill_are_refused(function: Any, shown: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"activity {function.__name__}: {shown} cannot be kept"):
        activity_definition_of(activity.defn(function))


def test_options_of_a_copy_go_first() -> None:
    changed = weigh_item.options(task_queue="other", cancellation_type="abandon")
    found, original = activity_definition_of(changed), activity_definition_of(weigh_item)
    assert found is not None and original is not None
    assert (found.options.task_queue, found.options.cancellation_type) == ("other", CancellationType.ABANDON)
    assert found.options.start_to_close_timeout == timedelta(seconds=30)
    assert original.options.task_queue == "scales"


# --------------------------------------------------------------------------------- while one runs


class Attempt(ActivityContext):
    def __init__(self) -> None:
        self.beats: list[tuple[Any, ...]] = []

    @property
    def info(self) -> Info:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        key = idempotency_key("default", "order-1", "run-1", 3)
        return Info("order-1", "run-1", "order", "charge", "3", 2, "q", "default", key, {}, now, now, None, None, ("half",), True)

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        self.beats.append(details)


def test_an_attempt_sees_itself_also_from_a_thread() -> None:
    attempt = Attempt()

    def body() -> None:
        assert activity.in_activity()
        assert activity.info().idempotency_key == "default/order-1/run-1/3"
        assert activity.info().heartbeat_details == ("half",)
        activity.heartbeat("three", 4)
        assert not activity.is_cancelled()
        attempt.cancelled = True
        assert activity.is_cancelled()
        attempt.beats.append(("done",))

    context = contextvars.copy_context()
    context.run(activity_context.set, attempt)
    thread = threading.Thread(target=context.run, args=(body,))
    thread.start()
    thread.join()
    assert attempt.beats == [("three", 4), ("done",)]
    assert not activity.in_activity()


@pytest.mark.parametrize("verb", [activity.info, activity.heartbeat, activity.is_cancelled, activity.connection])
def test_outside_an_activity_each_says_so(verb: Any) -> None:
    with pytest.raises(NotInActivityError, match=rf"activity\.{verb.__name__}\(\)"):
        verb()


def test_only_a_transactional_one_has_a_connection() -> None:
    token = activity_context.set(Attempt())
    try:
        with pytest.raises(ConfigurationError, match="transactional=True"):
            activity.connection()
    finally:
        activity_context.reset(token)


def test_records_of_the_logger_carry_the_ids(caplog: pytest.LogCaptureFixture) -> None:
    token = activity_context.set(Attempt())
    try:
        with caplog.at_level(logging.INFO):
            activity.logger.info("charged", extra={"cents": 5})
    finally:
        activity_context.reset(token)
    (record,) = caplog.records
    seen = {name: record.__dict__[name] for name in ("workflow_id", "run_id", "activity", "attempt", "cents")}
    assert seen == {"workflow_id": "order-1", "run_id": "run-1", "activity": "charge", "attempt": 2, "cents": 5}
