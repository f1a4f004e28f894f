"""`ActivityEnvironment`: one activity alone, with what it reports and how it takes being stopped."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime

import pytest

from memflow import activity
from memflow.activity import CancellationDetails
from memflow.errors import ConfigurationError, NotInActivityError, PayloadError
from memflow_testing import ActivityEnvironment


@activity.defn
async def copies(book: str, pages: int = 5) -> str:
    first = activity.info().heartbeat_details
    for page in range(int(first[0]) if first else 1, pages + 1):
        activity.heartbeat(page)
        await asyncio.sleep(0)
    return f"{book} by attempt {activity.info().attempt}"


@activity.defn(name="copy-slowly")
def copies_in_a_thread(book: str) -> str:
    while not activity.is_cancelled():
        activity.heartbeat("still at it")
        time.sleep(0.001)
    return f"stopped copying {book}"


async def test_an_async_activity_runs_and_its_heartbeats_show() -> None:
    env = ActivityEnvironment()
    assert await env.run(copies, "Emma") == "Emma by attempt 1"
    assert env.heartbeats == [(1,), (2,), (3,), (4,), (5,)]
    assert env.info.activity == "copies"


async def test_info_is_what_the_test_says() -> None:
    env = ActivityEnvironment()
    env.set(attempt=3, heartbeat_details=(4,))
    assert await env.run(copies, "Emma") == "Emma by attempt 3"
    assert env.heartbeats == [(4,), (5,)]
    with pytest.raises(ConfigurationError, match=r"no field 'attemps'; it has .*attempt"):
        env.set(attemps=2)


async def test_a_cancelled_async_activity_is_stopped_at_its_await() -> None:
    env = ActivityEnvironment()
    env.on_heartbeat = lambda page: env.cancel("the order was withdrawn") if page == 3 else None
    with pytest.raises(asyncio.CancelledError):
        await env.run(copies, "Emma")
    assert env.heartbeats == [(1,), (2,), (3,)]
    assert env.cancellation_details == "the order was withdrawn"


async def test_a_thread_sees_that_it_is_cancelled() -> None:
    env = ActivityEnvironment()
    env.on_heartbeat = lambda _: env.cancel()
    assert await env.run(copies_in_a_thread, "Emma") == "stopped copying Emma"
    assert env.info.activity == "copy-slowly"


async def test_a_shutdown_of_the_worker_stops_it_too() -> None:
    env = ActivityEnvironment()
    env.on_heartbeat = lambda _: env.worker_shutdown()
    assert await env.run(copies_in_a_thread, "Emma") == "stopped copying Emma"
    assert env.cancellation_details == "the worker shuts down"


@activity.defn
async def tells_why() -> list[object]:
    activity.heartbeat()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return [activity.cancellation_details(), activity.is_worker_shutdown()]
    return []


async def test_an_activity_sees_why_it_is_to_stop() -> None:
    env = ActivityEnvironment()
    env.on_heartbeat = lambda: env.cancel()
    assert await env.run(tells_why) == [CancellationDetails(cancel_requested=True), False]
    env = ActivityEnvironment()
    env.on_heartbeat = lambda: env.worker_shutdown()
    assert await env.run(tells_why) == [CancellationDetails(worker_shutdown=True), True]


async def test_undecorated_functions_methods_and_the_logger_work(caplog: pytest.LogCaptureFixture) -> None:
    class Mail:
        sender = "ann"

        @activity.defn
        async def send(self, to: str) -> str:
            activity.logger.warning("sending")
            return f"{self.sender} to {to}"

    async def plain(number: int) -> int:
        return number + activity.info().attempt

    env = ActivityEnvironment()
    with caplog.at_level(logging.WARNING):
        assert await env.run(Mail().send, "bob") == "ann to bob"
    assert caplog.records[0].__dict__["activity"] == "send"
    assert await ActivityEnvironment().run(plain, 1) == 2


async def test_a_lent_connection_is_seen() -> None:
    @activity.defn(transactional=True)
    async def debit() -> object:
        return activity.connection()

    lent = object()
    assert await ActivityEnvironment(connection=lent).run(debit) is lent
    with pytest.raises(ConfigurationError, match="has none"):
        await ActivityEnvironment().run(debit)


async def test_wrong_uses_are_refused() -> None:
    @activity.defn
    async def beats(what: object) -> None:
        activity.heartbeat(what)

    env = ActivityEnvironment()
    with pytest.raises(PayloadError):
        await env.run(beats, object())
    with pytest.raises(ConfigurationError, match="no activity runs"):
        env.cancel()
    with pytest.raises(NotInActivityError):
        activity.info()
    running = asyncio.ensure_future(env.run(copies, "Emma", 10_000))
    await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="runs an activity already"):
        await env.run(copies, "Emma")
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(env.info.started_at, datetime)
