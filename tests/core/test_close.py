"""Taking a replay out of memory: `finally` blocks run once, nothing is asked or logged, nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memflow.core.arrivals import RunStarted, Turn
from memflow.core.context import current
from memflow.core.logs import logger
from memflow.core.replay import Replay
from memflow.core.unwinding import Evicted
from tests.core.playing import CODEC, T0, Code, activity, ask_activity, condition, define, info_of, signal


def started(code: Code) -> Replay:
    replay = Replay(define(code), info_of(code), CODEC)
    replay.advance(Turn(T0, [RunStarted()]))
    return replay


def test_finally_blocks_run_when_it_is_closed_and_not_when_it_is_collected() -> None:
    log: list[str] = []

    async def inner() -> None:
        try:
            await activity("a")
        finally:
            log.append("inner")

    async def outer() -> None:
        try:
            await inner()
        except Exception:
            log.append("never: nothing failed")
        finally:
            log.append("outer")

    replay = started(outer)
    replay.close()
    assert log == ["inner", "outer"]
    replay.close()
    del replay
    gc.collect()
    assert log == ["inner", "outer"]


def test_nothing_stays_behind() -> None:
    async def many() -> None:
        held = Held()
        holds.append(weakref.ref(held))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(activity("a"))
            tasks.create_task(signal("s"))
            tasks.create_task(condition(lambda: False))
            tasks.create_task(asyncio.sleep(99, held))

    class Held:
        pass

    holds: list[weakref.ref[Held]] = []
    replay = started(many)
    noticed = weakref.ref(replay)
    replay.close()
    assert not replay.open_activities and not replay.open_timers and not replay.open_waits and not replay.waiting()
    del replay
    gc.collect()
    assert noticed() is None and holds[0]() is None


def test_a_replay_that_is_closed_is_freed_without_the_garbage_collector_when_it_had_ended() -> None:
    async def short() -> None:
        pass

    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(50):
            started(short).close()
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()


def test_verbs_refuse_while_it_is_closed_and_the_code_still_knows_its_run() -> None:
    seen: list[object] = []

    async def asks_in_finally() -> None:
        try:
            await activity("a")
        finally:
            seen.append(current().info.run_id)
            try:
                await activity("b")
            except BaseException as error:
                seen.append(type(error))
                raise

    replay = started(asks_in_finally)
    replay.close()
    assert seen == ["run-1", Evicted]


def test_nothing_is_logged_while_it_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def talks() -> None:
        async def fails() -> None:
            try:
                await activity("a")
            finally:
                logger.error("leaving")
                raise ValueError("in the middle of leaving")

        await asyncio.gather(fails(), fails())

    with caplog.at_level(logging.DEBUG):
        replay = started(talks)
        replay.close()
        del replay
        gc.collect()
    assert not caplog.records


async def _swallows_around_an_activity() -> None:
    while True:
        try:
            await activity("a")
        except BaseException:
            continue


async def _swallows_around_a_sleep() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except BaseException:
            continue


async def _swallows_around_a_yield() -> None:
    try:
        await activity("a")
    finally:
        while True:
            try:
                await asyncio.sleep(0)
            except BaseException:
                continue


async def _swallows_around_a_condition() -> None:
    while True:
        try:
            await condition(lambda: False)
        except BaseException:
            continue


async def _swallows_around_a_signal() -> None:
    while True:
        try:
            await signal("s")
        except BaseException:
            continue


async def _swallows_in_a_group() -> None:
    while True:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(activity("a"))
                tasks.create_task(_swallows_around_a_sleep())
        except BaseException:
            continue


async def _swallows_some() -> None:
    for _ in range(5):
        try:
            await activity("a")
        except BaseException:
            continue


async def _makes_new_tasks() -> None:
    try:
        await activity("a")
    finally:
        await asyncio.gather(activity("b"), asyncio.create_task(asyncio.sleep(1)), asyncio.shield(activity("c")))


FOR_EVER = (
    _swallows_around_an_activity,
    _swallows_around_a_sleep,
    _swallows_around_a_condition,
    _swallows_around_a_signal,
    _swallows_around_a_yield,
    _swallows_in_a_group,
)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "code",
    [
        _swallows_around_an_activity,
        _swallows_around_a_sleep,
        _swallows_around_a_yield,
        _swallows_around_a_condition,
        _swallows_around_a_signal,
        _swallows_in_a_group,
        _swallows_some,
        _makes_new_tasks,
    ],
)
def test_close_ends_whatever_the_code_does(code: Callable[[], Awaitable[Any]], caplog: pytest.LogCaptureFixture) -> None:
    async def flow() -> None:
        await code()

    replay = started(flow)
    replay.close()
    assert replay.waiting() == []
    warned = [each for each in caplog.records if "cannot be taken out of memory" in each.getMessage()]
    assert bool(warned) == (code in FOR_EVER)
    del replay
    gc.collect()


async def test_close_leaves_the_loop_and_task_that_called_it_alone() -> None:
    async def waits() -> None:
        try:
            await activity("a")
        finally:
            seen.append((asyncio.get_running_loop(), asyncio.current_task()))

    seen: list[tuple[object, object]] = []
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    replay = started(waits)
    replay.close()
    assert seen[0][0] is not loop and seen[0][1] is not None and seen[0][1] is not task
    assert asyncio.get_running_loop() is loop and asyncio.current_task() is task


def test_close_before_the_first_turn_and_after_the_end() -> None:
    async def short() -> None:
        pass

    replay = Replay(define(short), info_of(short), CODEC)
    replay.close()
    with pytest.raises(RuntimeError):
        replay.advance(Turn(T0, [RunStarted()]))
    replay = started(short)
    assert replay.finished
    replay.close()


def test_close_of_code_that_has_not_come_to_an_await_in_a_child_task() -> None:
    """A task that was created in the turn that ended the run has never run a step."""

    async def leaves() -> None:
        task = asyncio.create_task(activity("never begun"))
        task.set_name("unbegun")

    replay = started(leaves)
    assert replay.finished and not replay.open_activities
    replay.close()


def test_what_an_evicted_run_did_before_is_told_by_its_journal_alone() -> None:
    async def two() -> None:
        ask_activity("a")
        await activity("b")

    first = started(two)
    first.close()
    again = started(two)
    assert list(again.open_activities) == [1, 2]
    again.close()
