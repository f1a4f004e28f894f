"""Handlers in the core: their order, what is rejected, what is refused; each turn live and rebuilt."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import ActivityCompleted, RunStarted, SignalReceived, Turn, UpdateReceived
from memflow.core.definition import Definition
from memflow.core.handlers import journaled
from memflow.core.interrupts import AnswerUpdate, Complete, Fail, Interrupt, MarkPatch
from memflow.core.journal import rebuild
from memflow.core.replay import Replay, TurnFailed
from memflow.errors import ApplicationError, ConfigurationError, NondeterminismError, ReadOnlyError
from memflow.payload import NO_ARGUMENTS, NOTHING
from memflow.workflow.define import definition_of
from tests.core.playing import CODEC, T0, Played, ask_activity, info_of, json


class PlayedClass(Played):
    """As `Played`, for a decorated workflow class."""

    def __init__(self, cls: type[Any]) -> None:
        async def named() -> None: ...

        super().__init__(named)
        self.replay.close()
        self.definition: Definition = definition_of(cls)
        self.replay = Replay(self.definition, info_of(named), CODEC)


def update(number: int, name: str = "add", input: str = "[1]") -> UpdateReceived:
    return UpdateReceived(f"u-{number}", name, json(input))


def outcomes(asked: list[Interrupt]) -> list[tuple[str, str]]:
    return [(each.update_id, each.outcome) for each in asked if isinstance(each, AnswerUpdate)]


@workflow.defn
class Log:
    def __init__(self) -> None:
        self.log = ["init"]
        self.done = False

    @workflow.run
    async def run(self) -> list[str]:
        self.log.append("run")
        await workflow.wait_condition(lambda: self.done)
        return self.log

    @workflow.signal
    async def note(self, text: str) -> None:
        self.log.append(text)
        await asyncio.sleep(0)
        self.log.append(f"{text} later")

    @workflow.signal
    def end(self) -> None:
        self.done = True

    @workflow.update
    def add(self, number: int) -> int:
        self.log.append(f"add {number}")
        return number + len(self.log)

    @add.validator
    def check_add(self, number: int) -> None:
        if len(self.log) > number:
            raise ValueError(f"too late for {number}")

    @workflow.update
    async def wait_for_end(self) -> str:
        await workflow.wait_condition(lambda: self.done)
        await asyncio.sleep(0)
        return "seen"

    @workflow.query
    def so_far(self) -> list[str]:
        return self.log

    @workflow.query
    def draws(self) -> float:
        return workflow.random().random()

    @workflow.query
    def spawns(self) -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(0))


def query(replay: Replay, name: str) -> Any:
    return CODEC.decode(replay.query(name, NO_ARGUMENTS))


def test_what_comes_with_the_start_runs_after_init_and_before_run_in_its_order() -> None:
    played = PlayedClass(Log)
    first, second = (SignalReceived("note", json(text)) for text in ('"a"', '"b"'))
    asked = played.turn(RunStarted(), first, update(1, input="[9]"), second)
    assert query(played.replay, "so_far") == ["init", "a", "add 9", "b", "a later", "b later", "run"]
    assert outcomes(asked) == [("u-1", "accepted"), ("u-1", "completed")]
    assert query(played.rebuilt(), "so_far") == query(played.replay, "so_far")


def test_a_rejected_update_leaves_no_trace_and_does_not_move_time() -> None:
    played = PlayedClass(Log)
    played.start()
    before = list(played.journal), played.replay.now, played.replay.turn_number
    asked = played.turn(update(1, input="[0]"), after=5)
    assert outcomes(asked) == [("u-1", "rejected")]
    assert (played.journal, played.replay.now, played.replay.turn_number) == before
    assert outcomes(played.turn(update(2, "ad"), update(3, input='["x"]'), update(4, input="[9]"))) == [
        ("u-2", "rejected"),
        ("u-3", "rejected"),
        ("u-4", "accepted"),
        ("u-4", "completed"),
    ]
    assert [each.entry for each in played.journal if isinstance(each.entry, UpdateReceived)] == [update(4, input="[9]")]


def test_a_validator_is_not_asked_again_when_the_run_is_rebuilt() -> None:
    played = PlayedClass(Log)
    played.start()
    played.turn(update(1, input="[2]"))
    replay = rebuild(played.definition, played.info, CODEC, played.journal)
    assert query(replay, "so_far")[-1] == "add 2"
    replay.close()


def test_an_update_that_the_code_no_longer_knows_is_a_mismatch() -> None:
    played = PlayedClass(Log)
    played.start()
    played.turn(update(1, input="[2]"))

    @workflow.defn(name="Log")
    class Without:
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_condition(lambda: False)

    with pytest.raises(NondeterminismError, match="update 'u-1' accepted"):
        rebuild(definition_of(Without), played.info, CODEC, played.journal)


def test_an_update_that_ends_in_the_last_turn_is_answered_before_the_end() -> None:
    played = PlayedClass(Log)
    played.start()
    played.turn(update(1, "wait_for_end", "[]"))
    asked = played.turn(SignalReceived("end", NOTHING))
    assert isinstance(asked[-1], Complete) and outcomes(asked) == [("u-1", "completed")]


def test_queries_answer_after_the_end_and_change_nothing() -> None:
    played = PlayedClass(Log)
    played.start()
    for name in ("draws", "spawns"):
        with pytest.raises(ReadOnlyError, match="may only look"):
            query(played.replay, name)
    with pytest.raises(ConfigurationError, match=r"known queries: \[draws, so_far, spawns\]"):
        query(played.replay, "so far")
    played.turn(SignalReceived("end", NOTHING))
    assert played.replay.finished and query(played.replay, "so_far") == ["init", "run"]
    assert query(played.rebuilt(), "so_far") == ["init", "run"]


def test_a_validator_that_asks_for_something_durable_is_a_bug() -> None:
    @workflow.defn
    class Asks:
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_condition(lambda: False)

        @workflow.update
        def set(self) -> None: ...

        @set.validator
        def check(self) -> None:
            ask_activity("charge")

    played = PlayedClass(Asks)
    played.start()
    with pytest.raises(TurnFailed) as failed:
        played.replay.advance(Turn(T0, [update(1, "set", "[]")]))
    assert isinstance(failed.value.__cause__, ReadOnlyError)


def test_signals_without_a_handler_wait_for_one_in_their_order() -> None:
    async def late() -> list[str]:
        heard: list[str] = []
        first = await workflow.wait_for("b")
        workflow.set_signal_handler("a", lambda: heard.append("a"))
        workflow.set_dynamic_signal_handler(lambda name, arguments: heard.append(f"{name}{arguments}"))
        await asyncio.sleep(0)
        return [first, *heard]

    played = Played(late)
    names = ["a", "c", "b", "c", "a", "b"]
    asked = played.turn(RunStarted(), *(SignalReceived(name, json(f"[{n}]")) for n, name in enumerate(names)))
    assert isinstance(asked[-1], Complete)
    assert CODEC.decode(asked[-1].result) == [[2], "a", "a", "c[1]", "c[3]", "b[5]"]


def test_an_update_with_the_start_meets_the_handler_that_run_sets() -> None:
    async def sets() -> None:
        workflow.set_update_handler("add", lambda number: number + 1)
        await workflow.wait_condition(lambda: False)

    played = Played(sets)
    assert outcomes(played.turn(RunStarted(), update(1), update(2, "sub"))) == [
        ("u-1", "accepted"),
        ("u-1", "completed"),
        ("u-2", "rejected"),
    ]


def test_a_handler_may_do_what_a_workflow_may_and_is_warned_of_when_the_run_ends_first(caplog: pytest.LogCaptureFixture) -> None:
    @workflow.defn
    class Busy:
        def __init__(self) -> None:
            self.finished: list[bool] = []

        @workflow.run
        async def run(self) -> list[bool]:
            await workflow.wait_for("end")
            return [*self.finished, workflow.all_handlers_finished()]

        @workflow.signal
        async def work(self) -> None:
            ask_activity("one")
            await asyncio.sleep(60)

        @workflow.signal(unfinished_policy="abandon")
        async def idle(self) -> None:
            await asyncio.sleep(60)

    played = PlayedClass(Busy)
    played.start()
    played.turn(SignalReceived("work", NOTHING), SignalReceived("idle", NOTHING))
    played.turn(ActivityCompleted(2, NOTHING))
    with caplog.at_level(logging.WARNING):
        [*_, ended] = played.turn(SignalReceived("end", NOTHING))
    assert isinstance(ended, Complete) and CODEC.decode(ended.result) == [False]
    assert {each for record in caplog.records for each in getattr(record, "handlers", ())} == {"signal work"}


def test_what_a_signal_handler_raises_ends_the_run_as_what_run_raises() -> None:
    @workflow.defn
    class Raises:
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_condition(lambda: False)

        @workflow.signal
        def fail(self, kind: str) -> None:
            raise ApplicationError("no") if kind == "failure" else ValueError("a bug")

    played = PlayedClass(Raises)
    played.start()
    with pytest.raises(TurnFailed):
        played.rebuilt().advance(Turn(T0, [SignalReceived("fail", json('"bug"'))]))
    [ended] = played.turn(SignalReceived("fail", json('"failure"')))
    assert isinstance(ended, Fail)


def test_a_payload_that_does_not_fit_its_signal_handler_is_dropped_and_said(caplog: pytest.LogCaptureFixture) -> None:
    played = PlayedClass(Log)
    played.start()
    played.turn(SignalReceived("note", json("7")))
    assert query(played.replay, "so_far") == ["init", "run"]
    assert "does not fit the handler of 'note'" in caplog.text


def test_journaled_leaves_out_what_was_rejected() -> None:
    rejected, accepted = AnswerUpdate("u-1", "rejected"), AnswerUpdate("u-2", "accepted")
    assert journaled([update(1), update(2)], [rejected, accepted]) == ([update(2)], [accepted])


# ------------------------------------------------------------------------------------------------- bad classes


def test_classes_that_cannot_work_are_refused_with_all_reasons() -> None:
    class Base:
        @workflow.signal
        def approve(self) -> None: ...

        @workflow.query
        def status(self) -> str:
            return ""

    with pytest.raises(ConfigurationError) as refused:

        @workflow.defn
        class Wrong(Base):  # pyright: ignore[reportUnusedClass]
            @workflow.run
            async def run(self) -> None: ...

            def approve(self) -> None: ...

            @workflow.query(name="state")
            def status(self) -> str:
                return ""

            @workflow.query(name="state")
            def other(self) -> str:
                return ""

    text = str(refused.value)
    assert "3 reasons" in text and "approve overrides a @workflow.signal without being marked itself" in text
    assert "status overrides a handler of another kind or name" in text and "are both query handlers for 'state'" in text


def test_handlers_are_inherited_and_overridden() -> None:
    class Base:
        @workflow.query
        def status(self) -> str:
            return "base"

        @workflow.query
        def kept(self) -> str:
            return "kept"

    @workflow.defn
    class Derived(Base):
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_condition(lambda: False)

        @workflow.query
        def status(self) -> str:
            return "derived"

    played = PlayedClass(Derived)
    played.start()
    assert [query(played.replay, name) for name in ("status", "kept")] == ["derived", "kept"]


def test_handlers_that_cannot_work_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="a dynamic handler takes"):
        workflow.signal(dynamic=True)(lambda self: None)
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        workflow.query(lambda self, *names: None)  # pyright: ignore
    with pytest.raises(ConfigurationError, match="is not one of warn_and_abandon, abandon"):
        workflow.signal(unfinished_policy="shrug")
    with pytest.raises(TypeError, match="no option unfinished_policy"):
        workflow.query(unfinished_policy="abandon")  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(ConfigurationError, match="they must be the same"):

        @workflow.update
        def set_it(self: object, value: int) -> None: ...

        @set_it.validator  # type: ignore[arg-type]
        def check(self: object, other: int) -> None: ...  # pyright: ignore


@workflow.defn
class Patched:
    def __init__(self) -> None:
        self.done = self.ended = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.done)
        self.ended = True
        return "ended"

    @workflow.update
    async def end(self) -> str:
        self.done = True
        await workflow.wait_condition(lambda: self.ended)    # the run has ended then, in this turn
        return "new" if workflow.patched("words") else "old"


def test_a_patch_first_met_by_a_handler_in_the_turn_that_ends_its_run_leaves_its_mark() -> None:
    """The mark was dropped with whatever code asks after the end, so that a rebuild took the old path."""
    played = PlayedClass(Patched)
    played.start()
    asked = played.turn(UpdateReceived("u-1", "end", NO_ARGUMENTS))
    assert asked[1:] == [
        MarkPatch("words"),
        AnswerUpdate("u-1", "completed", json('"new"')),
        Complete(json('"ended"')),
    ]
    assert played.rebuilt().finished
