"""Events, records, traces, chance, facts, other runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import TimerFired
from memflow.core.interrupts import Complete, Emit, SendSignal, StopOther, Trace, WriteRecord
from memflow.errors import ConfigurationError, NotInWorkflowError, PayloadError
from tests.workflow.driving import T0, Driven, encoded


def test_what_is_told_rides_along_once() -> None:
    @workflow.defn
    async def order() -> None:
        await workflow.emit({"order.placed": {"id": 1}, "order.any": None})
        await workflow.enrich({"customer": "acme", "total": 12.5})
        await workflow.trace({"region": "eu"})
        await workflow.emit({})
        await workflow.enrich({})
        await workflow.trace({})

    with Driven(order) as driven:
        assert driven.start() == [
            Emit(1, {"order.placed": encoded({"id": 1}), "order.any": encoded(None)}),
            WriteRecord(2, "search.set", encoded([{"customer": "acme", "total": 12.5}])),
            Trace(3, encoded({"region": "eu"})),
            Complete(encoded(None)),
        ]


def test_what_cannot_be_told_takes_no_op() -> None:
    @workflow.defn
    async def order() -> list[str]:
        paths: list[str] = []
        for verb in (workflow.enrich, workflow.trace, workflow.emit):
            try:
                await verb({"ok": 1, "wrong": {1, 2}})
            except PayloadError as refused:
                paths.append(refused.path)
        with pytest.raises(ConfigurationError, match="topic"):
            await workflow.emit({"": 1})
        await workflow.enrich({"done": True})
        return paths

    with Driven(order) as driven:
        assert driven.start()[0] == WriteRecord(1, "search.set", encoded([{"done": True}]))
        assert driven.result() == ["$.wrong", "$.wrong", "$"]


@workflow.defn
async def lottery() -> list[Any]:
    first = [workflow.random().random(), workflow.random().randint(1, 10**9), str(workflow.uuid4())]
    await workflow.sleep_for(1)
    return [*first, str(workflow.uuid4())]


def drawn(run_id: str) -> list[Any]:
    with Driven(lottery, run_id=run_id) as driven:
        driven.start()
        driven.turn(TimerFired(1))
        result: list[Any] = driven.result()
        return result


def test_chance_repeats_in_a_run_and_differs_between_runs() -> None:
    assert drawn("a") == drawn("a")
    assert not set(drawn("a")) & set(drawn("b"))
    assert len(set(drawn("a"))) == 4


def test_info_tells_which_run_this_is() -> None:
    @workflow.defn
    async def order() -> list[Any]:
        info = workflow.info()
        return [
            info.workflow_id,
            info.run_id,
            info.workflow,
            info.task_queue,
            info.started_at.isoformat(),
            workflow.in_workflow(),
        ]

    with Driven(order) as driven:
        driven.start()
        assert driven.result() == ["order-1", "run-1", "order", "orders", T0.isoformat(), True]
    assert not workflow.in_workflow()


def test_other_runs_can_be_signalled_cancelled_and_ended() -> None:
    @workflow.defn
    async def order() -> None:
        await workflow.cancel("other", reason="enough")
        await workflow.terminate("other", run_id="r-2")
        handle = workflow.get_external_handle("third")
        await handle.signal("wake", [1])
        await handle.cancel()
        await handle.terminate(reason="late")

    with Driven(order) as driven:
        assert driven.start()[:-1] == [
            StopOther(1, "cancel", "other", None, "enough"),
            StopOther(2, "terminate", "other", "r-2", None),
            SendSignal(3, "wake", encoded([1]), "third"),
            StopOther(4, "cancel", "third"),
            StopOther(5, "terminate", "third", None, "late"),
        ]


def test_interrupts_never_reach_an_except() -> None:
    caught: list[BaseException] = []

    @workflow.defn
    async def order() -> None:
        try:
            await workflow.sleep_for(1)
        except BaseException as error:
            caught.append(error)
            raise

    with Driven(order) as driven:
        driven.start()
    assert caught and all(workflow.did_interrupt(error) for error in caught)  # it left memory: no failure
    assert not any(workflow.did_interrupt(error) for error in (ValueError(), TimeoutError(), KeyboardInterrupt()))


def test_the_logger_speaks_once_with_ids(caplog: pytest.LogCaptureFixture) -> None:
    @workflow.defn
    async def order() -> None:
        workflow.logger.info("started")
        await workflow.sleep_for(1)
        workflow.logger.info("done")

    with caplog.at_level(logging.INFO), Driven(order) as driven:
        driven.start()
        driven.turn(TimerFired(1))
    seen = [(record.message, record.__dict__["workflow_id"]) for record in caplog.records if record.name == "memflow.workflow"]
    assert seen == [("started", "order-1"), ("done", "order-1")]


@pytest.mark.parametrize("verb", [workflow.info, workflow.random, workflow.uuid4])
def test_outside_a_workflow_each_verb_names_itself(verb: Callable[[], Any]) -> None:
    with pytest.raises(NotInWorkflowError, match=f"{verb.__name__} was called outside a workflow"):
        verb()


@pytest.mark.parametrize("verb", [workflow.emit, workflow.enrich, workflow.trace])
async def test_outside_a_workflow_each_awaited_verb_names_itself(verb: Callable[[Any], Awaitable[None]]) -> None:
    with pytest.raises(NotInWorkflowError, match=verb.__name__):
        await verb({"a": 1})
