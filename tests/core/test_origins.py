"""The copied turns of a reset or forked run draw what they drew in the run that wrote them, at every point of its journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memflow import workflow
from memflow.core.arrivals import ChildCompleted, RunStarted, SignalReceived, TimerFired, Turn
from memflow.core.definition import Origin
from memflow.core.interrupts import Complete, Interrupt, StartChild
from memflow.core.journal import rebuild
from memflow.core.points import points_of
from memflow.core.replay import Replay
from memflow.payload import NOTHING
from tests.core.playing import CODEC, OPEN, Played


async def draws() -> list[Any]:
    found = [workflow.random().random(), workflow.info().workflow_id]
    await workflow.sleep_for(1)
    found.append(str(workflow.uuid4()))
    await workflow.execute_child("kid")
    found.append(workflow.random().random())
    await workflow.wait_for("end")
    return [*found, workflow.random().random(), workflow.info().run_id]


def result_of(asked: list[Interrupt]) -> list[Any]:
    [closing] = [each for each in asked if isinstance(each, Complete)]
    found: list[Any] = CODEC.decode(closing.result, list[Any])
    return found


def test_each_point_rebuilds_under_another_id_and_goes_on_by_itself() -> None:
    played = Played(draws)
    played.start()
    played.turn(TimerFired(1), after=1)
    played.turn(ChildCompleted(2, NOTHING))
    original = result_of(played.turn(SignalReceived("end", NOTHING, 3)))

    for point in points_of(played.journal):
        info = replace(
            played.info, workflow_id="other", run_id="run-2", origins=(Origin(point.turn, played.info.workflow_id, "run-1"),)
        )
        replay = rebuild(played.definition, info, CODEC, played.journal[: point.seq])
        OPEN.append(replay)
        found, children = rest_of(replay, point.turn, played)
        kept = {1: 2, 2: 3, 3: 4}[point.turn]
        assert found[:kept] == original[:kept], f"turn {point.turn}"
        assert [a == b for a, b in zip(found[kept:-1], original[kept:-1], strict=True)] == [False] * (len(found) - kept - 1)
        assert found[-1] == "run-2"
        assert all(child.workflow_id.startswith("other/") for child in children), "what is asked later bears the new id"


def rest_of(replay: Replay, turn: int, played: Played) -> tuple[list[Any], list[StartChild]]:
    """Bring it the turns that the journal has after `turn`."""
    turns = [[RunStarted()], [TimerFired(1)], [ChildCompleted(2, NOTHING)], [SignalReceived("end", NOTHING, 3)]]
    asked: list[Interrupt] = []
    for arrivals in turns[turn:]:
        asked.extend(replay.advance(Turn(played.at, arrivals)))
    return result_of(asked), [each for each in asked if isinstance(each, StartChild)]


def test_a_second_branch_knows_all_origins() -> None:
    played = Played(draws)
    assert played.info.at_turn(1) is played.info
    info = replace(played.info, origins=(Origin(2, "a", "1"), Origin(4, "b", "2")))
    assert [info.at_turn(turn).run_id for turn in range(1, 6)] == ["1", "1", "2", "2", "run-1"]
