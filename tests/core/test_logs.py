"""Workflow code logs each thing once."""

from __future__ import annotations

import logging

import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted, Turn
from memflow.core.logs import logger
from memflow.core.replay import Replay
from memflow.payload import NOTHING
from tests.core.playing import CODEC, T0, Played, activity, define, info_of


async def talks() -> None:
    logger.info("began", extra={"mine": 1})
    await activity("a")
    logger.info("went on")


def test_a_rebuild_is_silent_and_what_is_new_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    played = Played(talks)
    played.start()
    with caplog.at_level(logging.INFO):
        caplog.clear()
        replay = played.rebuilt()
        assert not caplog.records
        replay.advance(Turn(T0, [ActivityCompleted(1, NOTHING)]))
        replay.close()
    assert [each.getMessage() for each in caplog.records] == ["went on"]


def test_records_carry_the_ids_of_the_run_and_what_the_code_adds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        replay = Replay(define(talks), info_of(talks), CODEC)
        replay.advance(Turn(T0, [RunStarted()]))
        replay.close()
    (record,) = caplog.records
    found = vars(record)
    assert (found["workflow_id"], found["run_id"], found["workflow"], found["mine"]) == ("order-1", "run-1", "talks", 1)


def test_outside_a_workflow_it_just_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logger.info("outside")
    assert [each.getMessage() for each in caplog.records] == ["outside"]
