"""Ugly workflow code ends its run or its turn, never the worker."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable

import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted, Turn
from memflow.core.interrupts import Complete, Fail
from memflow.core.replay import Replay, TurnFailed
from memflow.payload import NOTHING
from tests.core.playing import CODEC, T0, Played, activity, define, info_of, json, kinds


def _raise(error: BaseException) -> None:
    raise error


def recurse() -> None:
    recurse()


async def _in_main(act: Callable[[], None]) -> None:
    await activity("a")
    act()


async def _in_a_task(act: Callable[[], None]) -> None:
    await asyncio.create_task(_in_main(act))


async def _in_a_group(act: Callable[[], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_in_main(act))
        tasks.create_task(activity("b"))


async def _in_a_forgotten_task(act: Callable[[], None]) -> None:
    task = asyncio.create_task(_in_main(act))
    await activity("b")
    task.cancel()


async def _in_a_callback(act: Callable[[], None]) -> None:
    await activity("a")
    asyncio.get_running_loop().call_soon(act)
    await activity("b")


class Odd(BaseException):
    """Not an Exception, and nobody's business."""


@pytest.mark.parametrize("place", [_in_main, _in_a_task, _in_a_group, _in_a_forgotten_task, _in_a_callback])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, Odd])
def test_what_would_end_a_process_ends_the_turn(
    place: Callable[[Callable[[], None]], object], error: type[BaseException]
) -> None:
    async def flow() -> None:
        coroutine = place(lambda: _raise(error("now")))
        assert asyncio.iscoroutine(coroutine)
        await coroutine

    replay = Replay(define(flow), info_of(flow), CODEC)
    replay.advance(Turn(T0, [RunStarted()]))
    op = min(replay.open_activities)
    name = replay.open_activities[op].name
    if name == "b":  # the forgotten task asks second
        op += 1
    with pytest.raises(TurnFailed) as failed:
        replay.advance(Turn(T0, [ActivityCompleted(op, NOTHING)]))
    assert _holds(failed.value.__cause__, error)
    replay.close()


def _holds(error: BaseException | None, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_holds(each, kind) for each in error.exceptions)
    return isinstance(error, kind)


def test_endless_recursion_fails_the_run() -> None:
    async def deep() -> None:
        recurse()

    asked = Played(deep).start()
    assert isinstance(asked[0], Fail) and asked[0].failure.type == "RecursionError"


def test_a_worker_without_memory_does_not_fail_the_run() -> None:
    async def big() -> None:
        raise MemoryError

    replay = Replay(define(big), info_of(big), CODEC)
    with pytest.raises(TurnFailed):
        replay.advance(Turn(T0, [RunStarted()]))
    replay.close()


def test_a_workflow_that_never_yields_can_be_interrupted_from_another_thread() -> None:
    """As the watchdog does: an exception raised into the thread lands in workflow code, or in ours."""

    async def endless() -> None:
        while True:
            pass

    class TurnTooLong(BaseException):
        pass

    replay = Replay(define(endless), info_of(endless), CODEC)
    stuck = threading.get_ident()
    raiser = threading.Timer(
        0.1, lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(stuck), ctypes.py_object(TurnTooLong))
    )
    raiser.start()
    with pytest.raises(TurnFailed) as failed:
        replay.advance(Turn(T0, [RunStarted()]))
    raiser.join()
    assert isinstance(failed.value.__cause__, TurnTooLong)
    replay.close()


def test_a_definition_that_makes_no_coroutine_fails_the_turn() -> None:
    def plain() -> int:
        return 1

    replay = Replay(define(plain), info_of(plain), CODEC)  # type: ignore[arg-type]
    with pytest.raises(TurnFailed) as failed:
        replay.advance(Turn(T0, [RunStarted()]))
    assert isinstance(failed.value.__cause__, TypeError)


def test_exceptions_that_lie_about_themselves_still_fail_the_run() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

        def __repr__(self) -> str:
            raise ValueError("nor this")

    async def hostile() -> None:
        raise Hostile

    assert kinds(Played(hostile).start()) == ["Fail"]


def test_a_thousand_nested_awaits_and_a_thousand_tasks() -> None:
    async def nest(depth: int) -> int:
        return 1 + await nest(depth - 1) if depth else len(await asyncio.gather(*(activity(f"a{n}") for n in range(1000))))

    async def flow() -> int:
        return await nest(200)

    replay = Replay(define(flow), info_of(flow), CODEC)
    assert len(replay.advance(Turn(T0, [RunStarted()]))) == 1000
    waiting = replay.waiting()
    assert len(waiting) == 1000 and len(waiting[0].chain) > 20
    assert replay.waiting_json().count('"what"') == 21
    asked = replay.advance(Turn(T0, [ActivityCompleted(op, NOTHING) for op in range(1, 1001)]))
    assert asked == [Complete(json("1200"))]
