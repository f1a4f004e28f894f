"""One run, turn by turn: the order inside a turn, cancellation, signals, and how runs end."""

from __future__ import annotations

import asyncio

import pytest

from memflow import errors
from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    Answer,
    CancelRequested,
    ChildCompleted,
    ChildStarted,
    RunStarted,
    SignalReceived,
    TimerFired,
    Turn,
)
from memflow.core.context import current, in_workflow
from memflow.core.definition import Definition
from memflow.core.interrupts import (
    AwaitSignal,
    CancelActivity,
    Cancelled,
    CancelTimer,
    CancelWait,
    Complete,
    Fail,
    Interrupt,
    SendSignal,
    StopOther,
)
from memflow.core.replay import Replay, TurnFailed
from memflow.failure import Failure
from memflow.payload import NOTHING
from tests.core.playing import (
    CODEC,
    T0,
    Played,
    activity,
    ask_activity,
    ask_child,
    child,
    condition,
    define,
    emit,
    info_of,
    json,
    kinds,
    schedule,
    seconds,
    signal,
)

STOPPED = Failure("activity", "stopped", cause=Failure("cancelled", "cancelled"))


# ------------------------------------------------------------------------------------------------- start and time


def test_arguments_are_decoded_by_their_types() -> None:
    async def add(first: int, second: int) -> int:
        return first + second

    definition = Definition("add", add, (int, int), 2, int, (Exception,))
    replay = Replay(definition, info_of(add), CODEC)
    assert replay.advance(Turn(T0, [RunStarted(json("[2,3]"))])) == [Complete(json("5"))]
    assert replay.finished


def test_arguments_that_do_not_decode_fail_the_run() -> None:
    async def add(first: int) -> int:
        return first

    definition = Definition("add", add, (int,), 1, int, (Exception,))
    asked = Replay(definition, info_of(add), CODEC).advance(Turn(T0, [RunStarted(json('["two"]'))]))
    assert isinstance(asked[0], Fail) and asked[0].failure.type == "PayloadError"


def test_time_is_that_of_the_turn_and_never_goes_back() -> None:
    async def clock() -> list[str]:
        first = current().now
        await activity("a")
        second = current().now
        await activity("b")
        return [str((each - T0).total_seconds()) for each in (first, second, current().now)]

    played = Played(clock)
    played.start()
    played.turn(ActivityCompleted(1, NOTHING), after=5)
    assert played.turn(ActivityCompleted(2, NOTHING), after=-3) == [Complete(json('["0.0","5.0","5.0"]'))]


def test_chance_repeats_and_differs_between_runs() -> None:
    async def draw() -> float:
        return current().random.random()

    assert Played(draw, run_id="one").start() == Played(draw, run_id="one").start()
    assert Played(draw, run_id="one").start() != Played(draw, run_id="two").start()


def test_verbs_know_whether_they_are_in_a_workflow() -> None:
    async def inside() -> bool:
        return in_workflow()

    assert Played(inside).start() == [Complete(json("true"))]
    assert not in_workflow()
    with pytest.raises(errors.NotInWorkflowError, match="sleep_for was called outside a workflow"):
        current("sleep_for")


# ------------------------------------------------------------------------------------------------- the order inside a turn


def test_signals_that_come_with_the_start_are_there_when_the_code_begins() -> None:
    async def looks() -> str:
        return (await signal("approved")).payload.data.decode()

    played = Played(looks)
    assert played.turn(RunStarted(), SignalReceived("approved", json("1"))) == [Complete(json('"1"'))]


def test_signals_are_applied_before_answers_whatever_their_place_in_the_turn() -> None:
    async def order() -> list[str]:
        log: list[str] = []

        async def one(waited: str) -> None:
            await (activity(waited) if waited == "activity" else signal(waited))
            log.append(waited)

        await asyncio.gather(one("activity"), one("signal"))
        return log

    played = Played(order)
    played.start()
    asked = played.turn(ActivityCompleted(1, NOTHING), SignalReceived("signal", NOTHING, 2))
    assert asked == [Complete(json('["signal","activity"]'))]


def test_conditions_are_looked_at_in_order_of_registration_when_all_code_is_blocked() -> None:
    async def waits() -> list[str]:
        log: list[str] = []
        state = {"n": 0}

        async def when(name: str, least: int) -> None:
            await condition(lambda: state["n"] >= least)
            log.append(name)
            state["n"] += 1

        tasks = [asyncio.create_task(when(name, least)) for name, least in (("third", 3), ("first", 1), ("second", 2))]
        await activity("a")
        state["n"] = 1
        await asyncio.gather(*tasks)
        return log

    played = Played(waits)
    played.start()
    assert played.turn(ActivityCompleted(1, NOTHING)) == [Complete(json('["first","second","third"]'))]


def test_a_condition_may_not_ask_for_anything_durable() -> None:
    async def wrong() -> str:
        try:
            await condition(lambda: ask_activity("a") > 0)
        except errors.ReadOnlyError:
            await activity("b")
        return "refused"

    played = Played(wrong)
    assert played.start() == [schedule(1, "b")], "the refused verb has taken no number"


def test_a_condition_that_raises_raises_where_it_is_awaited() -> None:
    async def wrong() -> None:
        await condition(lambda: 1 // 0 == 0)

    asked = Played(wrong).start()
    assert isinstance(asked[0], Fail) and asked[0].failure.type == "ZeroDivisionError"


# ------------------------------------------------------------------------------------------------- answers


def test_a_late_answer_is_not_expected_and_changes_nothing() -> None:
    async def gives_up() -> None:
        try:
            async with asyncio.timeout(1):
                await activity("slow")
        except TimeoutError:
            await activity("plan b")

    played = Played(gives_up)
    played.start()
    assert played.replay.expects(ActivityCompleted(2, NOTHING))
    played.turn(TimerFired(1), after=1)
    assert not played.replay.expects(ActivityCompleted(2, NOTHING))
    assert not played.replay.expects(TimerFired(1))
    assert played.turn(ActivityCompleted(2, NOTHING)) == []


def test_two_answers_to_one_op_count_once() -> None:
    async def once() -> str:
        return type(await activity("a")).__name__

    played = Played(once)
    played.start()
    asked = played.turn(ActivityCompleted(1, NOTHING), ActivityCancelled(1, STOPPED))
    assert asked == [Complete(json('"ActivityCompleted"'))]


def test_a_waited_for_cancellation_ends_with_what_really_happens() -> None:
    async def waits() -> str:
        task = asyncio.create_task(activity("slow", wait=True))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        return type(await task).__name__

    played = Played(waits)
    played.start()
    assert kinds(played.turn(TimerFired(1), after=1)) == ["StartTimer", "CancelActivity"]
    assert played.turn(TimerFired(3), after=1) == [], "a second cancellation asks nothing again"
    assert played.replay.expects(ActivityCompleted(2, NOTHING))
    assert played.turn(ActivityCompleted(2, NOTHING)) == [Complete(json('"ActivityCompleted"'))]


def test_an_activity_that_was_answered_is_not_cancelled() -> None:
    async def race() -> str:
        task = asyncio.create_task(activity("a"))

        async def canceller() -> None:
            await activity("b")
            task.cancel()

        other = asyncio.create_task(canceller())
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        finally:
            await other
        return "answered"

    played = Played(race)
    assert played.start() == [schedule(1, "a"), schedule(2, "b")]
    asked = played.turn(ActivityCompleted(2, NOTHING), ActivityCompleted(1, NOTHING))
    assert asked == [Complete(json('"cancelled"'))], "asyncio's rule: cancelled before it resumed; but nothing is left to cancel"


def test_a_childs_start_and_end_may_come_in_one_turn() -> None:
    async def parent() -> list[str]:
        op = ask_child("child-1", announce=True)
        started = await current().answer(op)
        await asyncio.sleep(1)
        ended = await current().answer(op)
        return [type(started).__name__, type(ended).__name__]

    played = Played(parent)
    played.start()
    assert kinds(played.turn(ChildStarted(1), ChildCompleted(1, NOTHING))) == ["StartTimer"]
    assert played.turn(TimerFired(2), after=1) == [Complete(json('["ChildStarted","ChildCompleted"]'))]


def test_a_childs_end_may_be_awaited_by_many_and_again_after_a_timeout() -> None:
    async def parent() -> list[str]:
        op = ask_child("child-1")

        async def end() -> Answer:
            return await current().answer(op)

        try:
            await asyncio.wait_for(end(), 1)
        except TimeoutError:
            pass
        return [type(each).__name__ for each in await asyncio.gather(end(), end())]

    played = Played(parent)
    played.start()
    played.turn(TimerFired(2), after=1)
    assert played.replay.expects(ChildCompleted(1, NOTHING))
    assert played.turn(ChildCompleted(1, NOTHING)) == [Complete(json('["ChildCompleted","ChildCompleted"]'))]


def test_an_answer_that_nobody_can_get_any_more_is_an_error_not_a_hang() -> None:
    async def twice() -> None:
        op = ask_activity("a")
        await current().answer(op)
        await current().answer(op)

    played = Played(twice)
    played.start()
    asked = played.turn(ActivityCompleted(1, NOTHING))
    assert isinstance(asked[0], Fail) and "answered already" in asked[0].failure.message


def test_sleep_until_an_instant() -> None:
    async def naps() -> None:
        await current().sleep_until(T0 - seconds(1))
        await current().sleep_until(T0 + seconds(60))

    played = Played(naps)
    assert kinds(played.start()) == ["StartTimer"]
    assert played.replay.open_timers == {1: T0 + seconds(60)}
    assert played.turn(TimerFired(1), after=60) == [Complete(NOTHING)]


def test_sleep_until_an_instant_that_postgres_and_time_zones_cannot_hold_is_refused() -> None:
    async def naps() -> None:
        with pytest.raises(errors.ConfigurationError, match="after the year 9000"):
            await current().sleep_until(T0.replace(year=9001))

    assert Played(naps).start() == [Complete(NOTHING)]


# ------------------------------------------------------------------------------------------------- signals


def test_a_signal_sent_to_the_run_is_kept_until_somebody_waits() -> None:
    async def later() -> list[str]:
        await activity("a")
        return [(await signal("s")).payload.data.decode() for _ in range(2)]

    played = Played(later)
    played.start()
    played.turn(SignalReceived("s", json("1")), SignalReceived("s", json("2")))
    assert played.turn(ActivityCompleted(1, NOTHING)) == [Complete(json('["1","2"]'))]


def test_waiters_on_one_id_get_one_signal_each_in_the_order_they_waited() -> None:
    async def two() -> list[str]:
        return [each.payload.data.decode() for each in await asyncio.gather(signal("s"), signal("s"))]

    played = Played(two)
    assert played.start() == [AwaitSignal(1, "s"), AwaitSignal(2, "s")]
    assert played.turn(SignalReceived("s", json("1"), 1)) == []
    assert played.turn(SignalReceived("s", json("2"), 2)) == [Complete(json('["1","2"]'))]


def test_a_signal_sent_to_the_run_wakes_the_longest_waiter_and_ends_its_wait_by_id() -> None:
    async def two() -> list[str]:
        return [each.payload.data.decode() for each in await asyncio.gather(signal("s"), signal("s"))]

    played = Played(two)
    played.start()
    assert played.turn(SignalReceived("s", json("1"))) == [CancelWait(1, "s")]
    assert played.turn(SignalReceived("s", json("2"), 2)) == [Complete(json('["1","2"]'))]


def test_a_wait_that_times_out_is_taken_back() -> None:
    async def impatient() -> str:
        try:
            async with asyncio.timeout(1):
                await signal("s")
        except TimeoutError:
            await activity("a")
        return "late"

    played = Played(impatient)
    played.start()
    assert played.turn(TimerFired(1), after=1) == [CancelWait(2, "s"), schedule(3, "a")]


def test_a_signal_whose_wait_is_gone_goes_back_to_its_id() -> None:
    async def impatient() -> None:
        try:
            async with asyncio.timeout(1):
                await signal("s")
        except TimeoutError:
            await activity("a")

    played = Played(impatient)
    played.start()
    played.turn(TimerFired(1), after=1)
    assert played.turn(SignalReceived("s", json("7"), 2)) == [SendSignal(4, "s", json("7"))]


def test_a_signal_whose_wait_is_gone_goes_to_another_waiter_here_first() -> None:
    async def two() -> str:
        async def impatient() -> None:
            try:
                async with asyncio.timeout(1):
                    await signal("s")
            except TimeoutError:
                pass

        _, got = await asyncio.gather(impatient(), signal("s"))
        return got.payload.data.decode()

    played = Played(two)
    assert kinds(played.start()) == ["StartTimer", "AwaitSignal", "AwaitSignal"]
    played.turn(TimerFired(1), after=1)
    assert played.turn(SignalReceived("s", json("7"), 2)) == [CancelWait(3, "s"), Complete(json('"7"'))]


@pytest.mark.parametrize("by_id", [True, False])
def test_a_signal_that_comes_with_the_cancellation_of_its_wait_is_not_lost(by_id: bool) -> None:
    async def race() -> str:
        wait = asyncio.create_task(signal("s"))

        async def stopper() -> None:
            await signal("stop")
            wait.cancel()

        other = asyncio.create_task(stopper())
        try:
            await wait
        except asyncio.CancelledError:
            await other
            await activity("a")
            return (await signal("s")).payload.data.decode()
        return "not cancelled"

    played = Played(race)
    played.start()
    asked = played.turn(SignalReceived("stop", NOTHING, 2), SignalReceived("s", json("7"), 1 if by_id else None))
    if by_id:
        assert asked == [SendSignal(3, "s", json("7")), schedule(4, "a")]
        assert played.turn(ActivityCompleted(4, NOTHING)) == [AwaitSignal(5, "s")]
        assert played.turn(SignalReceived("s", json("7"), 5)) == [Complete(json('"7"'))]
    else:
        assert asked == [CancelWait(1, "s"), schedule(3, "a")]
        assert played.turn(ActivityCompleted(3, NOTHING)) == [Complete(json('"7"'))]


def test_a_signal_that_comes_back_to_the_run_is_the_next_one_again() -> None:
    async def race() -> list[str]:
        wait = asyncio.create_task(signal("s"))

        async def stopper() -> None:
            await signal("stop")
            wait.cancel()

        await asyncio.gather(wait, stopper(), return_exceptions=True)
        return [(await signal("s")).payload.data.decode() for _ in range(2)]

    played = Played(race)
    played.start()
    stop = SignalReceived("stop", NOTHING, 2)
    assert played.turn(stop, SignalReceived("s", json("1")), SignalReceived("s", json("2"))) == [
        CancelWait(1, "s"),
        Complete(json('["1","2"]')),
    ]


# ------------------------------------------------------------------------------------------------- cancellation and ends


def test_a_cancelled_run_ends_as_cancelled() -> None:
    async def waits() -> None:
        await activity("a")

    played = Played(waits)
    played.start()
    asked = played.turn(CancelRequested("enough"))
    assert asked[0] == CancelActivity(1)
    assert isinstance(asked[1], Cancelled) and asked[1].failure.kind == "cancelled" and "enough" in asked[1].failure.message


def test_a_cancelled_run_may_clean_up_first() -> None:
    async def careful() -> None:
        try:
            await activity("a")
        finally:
            await activity("undo")

    played = Played(careful)
    played.start()
    assert played.turn(CancelRequested()) == [CancelActivity(1), schedule(2, "undo")]
    assert kinds(played.turn(ActivityCompleted(2, NOTHING))) == ["Cancelled"]


def test_a_run_cancelled_with_its_start_still_begins() -> None:
    async def careful() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            emit("cleaned")

    played = Played(careful)
    assert kinds(played.turn(CancelRequested(), RunStarted())) == ["StartTimer", "CancelTimer", "Emit", "Cancelled"]


def test_a_run_may_refuse_to_be_cancelled() -> None:
    async def stubborn() -> str:
        try:
            await activity("a")
        except asyncio.CancelledError:
            await activity("b")
        return "done anyway"

    played = Played(stubborn)
    played.start()
    played.turn(CancelRequested())
    assert played.turn(ActivityCompleted(2, NOTHING)) == [Complete(json('"done anyway"'))]


def test_an_activity_error_with_a_cancelled_cause_ends_a_cancelled_run_as_cancelled() -> None:
    async def waits() -> None:
        answer = await activity("a", wait=True)
        assert isinstance(answer, ActivityCancelled)
        raise errors.ActivityError("a", activity="a", activity_id="1", attempt=1) from errors.CancelledError()

    played = Played(waits)
    played.start()
    assert played.turn(CancelRequested()) == [CancelActivity(1)]
    assert kinds(played.turn(ActivityCancelled(1, STOPPED))) == ["Cancelled"]


def test_a_cancelled_error_that_nobody_asked_for_fails_the_run() -> None:
    async def odd() -> None:
        raise asyncio.CancelledError

    asked = Played(odd, fails_on=()).start()
    assert isinstance(asked[0], Fail) and asked[0].failure.kind == "cancelled"


def test_a_waiting_child_is_cancelled_with_its_parent() -> None:
    async def parent() -> str:
        return type(await child("child-1")).__name__

    played = Played(parent)
    played.start()
    assert played.turn(CancelRequested()) == [StopOther(2, "cancel", "child-1", child_op=1)]
    assert played.turn(ChildCompleted(1, NOTHING)) == [Complete(json('"ChildCompleted"'))]


def test_a_bug_does_not_end_the_run_but_its_turn() -> None:
    async def buggy() -> None:
        await activity("a")
        raise KeyError("typo")

    played = Played(buggy, fails_on=(errors.FailureError,))
    played.start()
    with pytest.raises(TurnFailed) as failed:
        played.replay.advance(Turn(T0, [ActivityCompleted(1, NOTHING)]))
    assert isinstance(failed.value.__cause__, KeyError)
    assert not played.replay.finished
    with pytest.raises(RuntimeError, match="has ended"):
        played.replay.advance(Turn(T0, []))
    played.rebuilt().close()


def test_what_is_in_fails_on_ends_the_run_also_inside_a_group() -> None:
    async def group() -> None:
        async def fails() -> None:
            raise errors.ApplicationError("no", type="Refused")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            tasks.create_task(fails())

    assert kinds(Played(group, fails_on=(errors.FailureError,)).start()) == ["Fail"]


def test_a_group_with_one_bug_in_it_is_a_bug() -> None:
    async def group() -> None:
        raise ExceptionGroup("both", [errors.ApplicationError("no"), KeyError("typo")])

    replay = Replay(define(group, fails_on=(errors.FailureError,)), info_of(group), CODEC)
    with pytest.raises(TurnFailed):
        replay.advance(Turn(T0, [RunStarted()]))


def test_tasks_left_at_the_end_are_dropped_and_named(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    async def careless() -> str:
        async def background() -> None:
            try:
                await activity("slow")
            finally:
                log.append("dropped")
                emit("too late")

        task = asyncio.create_task(background(), name="the background")
        await asyncio.sleep(0)
        return task.get_name()

    replay = Replay(define(careless), info_of(careless), CODEC)
    asked: list[Interrupt] = replay.advance(Turn(T0, [RunStarted()]))
    assert asked == [schedule(1, "slow"), Complete(json('"the background"'))]
    assert log == ["dropped"]
    assert [getattr(each, "tasks", None) for each in caplog.records] == [["the background"]]
    assert not replay.open_activities and not replay.expects(ActivityCompleted(1, NOTHING))


def test_timers_and_waits_that_end_early_are_no_longer_open() -> None:
    async def both() -> None:
        async with asyncio.timeout(9):
            await signal("s")

    played = Played(both)
    played.start()
    assert list(played.replay.open_timers) == [1] and list(played.replay.open_waits) == [2]
    assert played.turn(SignalReceived("s", NOTHING, 2)) == [CancelTimer(1), Complete(NOTHING)]
