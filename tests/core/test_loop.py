"""asyncio inside a workflow works as in any Python, and becomes durable."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted, SignalReceived, TimerFired, Turn
from memflow.core.interrupts import CancelActivity, CancelTimer, Complete, Fail, StartTimer
from memflow.core.replay import Replay
from memflow.errors import ConfigurationError, DeterminismError
from memflow.payload import NOTHING
from tests.core.playing import CODEC, T0, Code, Played, activity, define, emit, info_of, json, kinds, schedule, seconds, signal


def test_sleep_asks_for_a_timer_and_ends_when_it_fires() -> None:
    async def nap() -> str:
        await asyncio.sleep(7 * 86400)
        return "rested"

    played = Played(nap)
    assert played.start() == [StartTimer(1, T0 + seconds(7 * 86400))]
    assert played.turn(TimerFired(1), after=7 * 86400) == [Complete(json('"rested"'))]


@pytest.mark.parametrize("delay", [0, -1, -1e300])
def test_a_sleep_that_does_not_wait_needs_no_timer(delay: float) -> None:
    async def nap() -> None:
        await asyncio.sleep(delay)

    assert Played(nap).start() == [Complete(NOTHING)]


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), 1e12, 300e9])
def test_a_sleep_without_a_real_end_is_refused(delay: float) -> None:
    async def nap() -> None:
        with pytest.raises(ValueError) as refused:
            await asyncio.sleep(delay)
        assert isinstance(refused.value, ConfigurationError) or "NaN" in str(refused.value)

    assert Played(nap).start() == [Complete(NOTHING)]


def test_gather_waits_for_all_in_any_order() -> None:
    async def both() -> list[str]:
        return [type(each).__name__ for each in await asyncio.gather(activity("a"), activity("b"))]

    played = Played(both)
    assert played.start() == [schedule(1, "a"), schedule(2, "b")]
    assert played.turn(ActivityCompleted(2, NOTHING)) == []
    assert played.turn(ActivityCompleted(1, NOTHING)) == [Complete(json('["ActivityCompleted","ActivityCompleted"]'))]


def test_a_timeout_cancels_what_takes_too_long() -> None:
    async def impatient() -> str:
        try:
            async with asyncio.timeout(30):
                await activity("slow")
        except TimeoutError:
            return "gave up"
        return "in time"

    played = Played(impatient)
    assert played.start() == [StartTimer(1, T0 + seconds(30)), schedule(2, "slow")]
    assert played.turn(TimerFired(1), after=30) == [CancelActivity(2), Complete(json('"gave up"'))]


def test_a_timeout_left_in_time_cancels_its_timer() -> None:
    async def quick() -> None:
        async with asyncio.timeout(30):
            await activity("a")

    played = Played(quick)
    played.start()
    assert played.turn(ActivityCompleted(2, NOTHING)) == [CancelTimer(1), Complete(NOTHING)]


def test_a_task_group_cancels_its_others_when_one_fails() -> None:
    async def fails() -> None:
        await activity("b")
        raise ValueError("b")

    async def group() -> str:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(activity("a"))
                tasks.create_task(fails())
                tasks.create_task(activity("c"))
        except* ValueError:
            emit("failed")
        return "after"

    played = Played(group)
    assert played.start() == [schedule(1, "a"), schedule(2, "b"), schedule(3, "c")]
    asked = played.turn(ActivityCompleted(2, NOTHING))
    assert kinds(asked) == ["CancelActivity", "CancelActivity", "Emit", "Complete"]
    assert [getattr(each, "op", None) for each in asked[:2]] == [1, 3]


async def _wait() -> None:
    done, pending = await asyncio.wait([asyncio.ensure_future(activity("a")), asyncio.ensure_future(activity("b"))])
    assert len(done) == 2 and not pending


async def _wait_for() -> None:
    await asyncio.wait_for(asyncio.gather(activity("a"), activity("b")), 9)


async def _as_completed() -> None:
    for each in asyncio.as_completed([activity("a"), activity("b")]):
        await each


async def _shield() -> None:
    await asyncio.gather(asyncio.shield(activity("a")), asyncio.shield(asyncio.ensure_future(activity("b"))))


async def _event() -> None:
    event = asyncio.Event()

    async def setter() -> None:
        await asyncio.gather(activity("a"), activity("b"))
        event.set()

    task = asyncio.create_task(setter())
    await event.wait()
    await task


async def _lock_and_semaphore() -> None:
    lock, semaphore = asyncio.Lock(), asyncio.Semaphore(2)

    async def one(name: str) -> None:
        async with semaphore:
            await activity(name)
            async with lock:
                await asyncio.sleep(0)

    await asyncio.gather(one("a"), one("b"))


async def _queue() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def produce(name: str) -> None:
        await activity(name)
        queue.put_nowait(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("a", "b"):
            tasks.create_task(produce(name))
        assert {await queue.get(), await queue.get()} == {"a", "b"}


async def _condition_variable() -> None:
    ready = asyncio.Condition()
    got: list[str] = []

    async def produce(name: str) -> None:
        await activity(name)
        async with ready:
            got.append(name)
            ready.notify_all()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce("a"))
        tasks.create_task(produce("b"))
        async with ready:
            await ready.wait_for(lambda: len(got) == 2)


async def _barrier() -> None:
    barrier = asyncio.Barrier(3)

    async def one(name: str) -> None:
        await activity(name)
        await barrier.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one("a"))
        tasks.create_task(one("b"))
        await barrier.wait()


async def _generator() -> None:
    async def results() -> AsyncIterator[object]:
        first, second = asyncio.ensure_future(activity("a")), asyncio.ensure_future(activity("b"))
        yield await first
        yield await second

    assert len([each async for each in results()]) == 2


@pytest.mark.parametrize(
    "code",
    [_wait, _wait_for, _as_completed, _shield, _event, _lock_and_semaphore, _queue, _condition_variable, _barrier, _generator],
)
def test_asyncio_works(code: Code) -> None:
    played = Played(code)
    asked = [each for each in played.start() if not isinstance(each, StartTimer)]
    assert [getattr(each, "name", None) for each in asked] == ["a", "b"]
    second, first = (getattr(each, "op", 0) for each in asked)
    played.turn(ActivityCompleted(first, NOTHING))
    assert isinstance(played.turn(ActivityCompleted(second, NOTHING))[-1], Complete)


def test_sets_of_asyncio_keep_an_order_that_does_not_depend_on_memory() -> None:
    """Bare coroutines in as_completed, tasks and gathers in wait: 30 of each, as with few of them chance would pass."""

    async def many() -> list[str]:
        order: list[str] = []
        for each in asyncio.as_completed([activity(f"c{n}") for n in range(30)]):
            order.append(type(await each).__name__)
        waits: list[asyncio.Future[Any]] = []
        for n in range(30):
            waits.append(asyncio.gather(asyncio.sleep(0, n), asyncio.sleep(0, n)))
            waits.append(asyncio.ensure_future(asyncio.sleep(0, [n])))
        done, _ = await asyncio.wait(waits)
        return [str(each.result()) for each in done]

    def run() -> tuple[list[str], bytes]:
        replay = Replay(define(many), info_of(many), CODEC)
        names = [getattr(each, "name", "") for each in replay.advance(Turn(T0, [RunStarted()]))]
        asked = replay.advance(Turn(T0, [ActivityCompleted(op, NOTHING) for op in range(1, 31)]))
        assert isinstance(asked[0], Complete)
        return names, asked[0].result.data

    first = run()
    ballast: list[object] = []
    for number in range(20):
        ballast.append([object() for _ in range(number * 7)])
        assert run() == first
    assert first[0] == [f"c{n}" for n in range(30)]


def test_as_completed_imported_by_name_before_memflow_is_refused_with_the_way_out() -> None:
    code = """
from asyncio import as_completed
import asyncio
from tests.core.playing import Played, activity

async def flow():
    for each in as_completed([activity("a"), activity("b")]):
        await each

print(Played(flow).start()[0].failure.message)
"""
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "write asyncio.as_completed(...)" in found.stdout


def _to_thread() -> Any:
    return asyncio.to_thread(print)


def _connect() -> Any:
    return asyncio.open_connection("localhost", 1)


def _subprocess() -> Any:
    return asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize("call", [_to_thread, _connect, _subprocess])
def test_io_and_threads_are_refused_naming_the_line(call: Callable[[], Any]) -> None:
    async def outside() -> None:
        with pytest.raises(DeterminismError) as refused:
            await call()
        assert "activity" in refused.value.instead
        assert refused.value.where.startswith("core/test_loop.py:") or "tests/core/test_loop.py:" in refused.value.where

    assert Played(outside).start() == [Complete(NOTHING)]


def test_a_task_that_fails_and_is_never_awaited_is_logged_once_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("unseen")

    async def careless() -> None:
        started = [asyncio.create_task(fails())]
        await asyncio.sleep(0)
        started.clear()
        await activity("a")

    played = Played(careless)
    with caplog.at_level(logging.ERROR):
        played.start()
    told = [each.getMessage() for each in caplog.records if "nobody awaited" in each.getMessage()]
    assert len(told) == 2, "once live, once in the rebuilt one that this turn was new for; never in a rebuild"
    assert "test_loop.py" in told[0] and "in fails" in told[0]
    caplog.clear()
    played.turn(ActivityCompleted(1, NOTHING))
    assert not [each for each in caplog.records if "nobody awaited" in each.getMessage()]


def test_a_task_that_fails_and_is_awaited_later_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("seen later")

    async def later() -> str:
        task = asyncio.create_task(fails())
        await activity("a")
        try:
            await task
        except ValueError:
            return "seen"
        return "unseen"

    played = Played(later)
    with caplog.at_level(logging.ERROR):
        played.start()
        assert played.turn(ActivityCompleted(1, NOTHING)) == [Complete(json('"seen"'))]
    assert not caplog.records


async def test_a_turn_runs_inside_a_running_loop_and_gives_it_back() -> None:
    async def nested() -> bool:
        await asyncio.sleep(1)
        return asyncio.current_task() is not None and asyncio.get_running_loop().time() == 1

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    hooks = sys.get_asyncgen_hooks()
    played = Played(nested)
    played.start()
    await asyncio.sleep(0)
    assert played.turn(TimerFired(1), after=1) == [Complete(json("true"))]
    assert asyncio.get_running_loop() is loop and asyncio.current_task() is task
    assert sys.get_asyncgen_hooks() == hooks


@pytest.mark.skipif(sys.version_info < (3, 12), reason="_swap_current_task came with 3.12")
async def test_a_turn_puts_the_current_task_aside_as_3_14_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memflow.core.loop._ONE_TASK_PER_THREAD", True)
    outer = asyncio.current_task()
    seen: list[object] = []

    async def looks() -> None:
        seen.append(asyncio.current_task())

    assert Played(looks).start() == [Complete(NOTHING)]
    assert asyncio.current_task() is outer and outer not in seen


def test_an_abandoned_generator_is_closed_in_the_runs_own_time() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            emit("closed")

    async def stops_early() -> None:
        async for _ in numbers():
            break
        await activity("a")

    played = Played(stops_early)
    assert kinds(played.start()) == ["ScheduleActivity", "Emit"]


def test_contextvars_do_not_leak_between_runs() -> None:
    var: ContextVar[str] = ContextVar("var", default="clean")

    async def sets() -> str:
        found = var.get()
        var.set("dirty")
        return found + await asyncio.create_task(reads())

    async def reads() -> str:
        return var.get()

    var.set("outside")
    assert Played(sets).start() == [Complete(json('"cleandirty"'))]
    assert var.get() == "outside"


def test_signals_between_turns_wake_queues() -> None:
    async def collects() -> int:
        async with asyncio.TaskGroup() as tasks:
            got = [tasks.create_task(signal("s")) for _ in range(3)]
        return len({id(each.result()) for each in got})

    played = Played(collects)
    assert kinds(played.start()) == ["AwaitSignal"] * 3
    asked = played.turn(*(SignalReceived("s", NOTHING, op) for op in (3, 1, 2)))
    assert asked == [Complete(json("3"))]


def test_a_workflow_that_returns_what_cannot_be_stored_fails() -> None:
    async def odd() -> object:
        return object()

    asked = Played(odd).start()
    assert isinstance(asked[0], Fail) and "object" in asked[0].failure.message
