"""Hypothesis strategies: journals of a workflow, made by chance and valid. Needs `pip install hypothesis`.

    from hypothesis import given
    from memflow_testing.strategies import journals

    @given(journals(order_workflow, activities=[reserve_item]))
    def test_every_run_can_be_taken_up_by_another_worker(history: WorkflowHistory) -> None:
        assert_rebuilds(order_workflow, history)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from memflow.activity import ActivityDefinition
from memflow.client.histories import WorkflowHistory
from memflow.codec import Codec, JsonCodec
from memflow.core.arrivals import ActivityCompleted, Arrival
from memflow.core.interrupts import ScheduleActivity
from memflow.core.journal import rebuild
from memflow.core.replay import TurnFailed
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.failure import Failure
from memflow.worker.registry import Registry
from memflow.workflow.define import definition_of
from memflow_testing.playing import Errand, NeverEnds, Play, judged

if TYPE_CHECKING:
    from hypothesis import strategies as st

TURNS = 30
"""Turns of the longest journal, where nobody says how many."""


def journals(
    workflow: Any,
    *arguments: Any,
    activities: Sequence[Any] = (),
    results: Mapping[Any, Any] | None = None,
    workflows: Sequence[Any] = (),
    signals: Mapping[str, Any] | None = None,
    failures: bool = True,
    turns: int = TURNS,
    longest: Duration = "1 day",
    codec: Codec | None = None,
) -> st.SearchStrategy[WorkflowHistory]:
    """Journals that runs of this workflow may have, whole or cut off after some turn, as `handle.history()` gives them.

    `arguments` are values, or strategies for them; left out, they are drawn from their types. So are results of `activities`,
    unless `results` has a strategy or a value for one (by activity or name). The functions are not called. With `failures`
    attempts fail now and then. `signals` maps names or ids to strategies or values; each comes up to twice. `workflows` are the
    children that may be started.

    Each turn has been compared with a replay rebuilt from the journal so far: a workflow that asks for something else then
    fails here, and hypothesis shrinks it to the shortest journal that does.

    Raises:
        ConfigurationError: hypothesis is not installed, or something listed is none.
    """
    try:
        from hypothesis import strategies as st
    except ImportError as error:
        raise ConfigurationError("memflow_testing.strategies needs hypothesis: pip install hypothesis") from error
    definition = definition_of(workflow)
    known = Registry((), activities)
    children = Registry(workflows, ()).workflows
    given = {getattr(key, "name", key): value for key, value in (results or {}).items()}
    encoder = codec or JsonCodec()
    term = to_timedelta(longest, what="longest")
    if turns < 1:
        raise ConfigurationError(f"journals: turns={turns} makes none; give at least 1")

    def one_of(value: Any) -> Any:
        if isinstance(value, st.SearchStrategy):
            return cast("Any", value)
        return st.just(value)

    def result_of(asked: ScheduleActivity) -> tuple[Any, ActivityDefinition | None]:
        found = known.activity(asked.name)
        if asked.name in given:
            return one_of(given[asked.name]), found
        if found is None:
            listed = ", ".join(sorted(known.activities)) or "none"
            raise ConfigurationError(
                f"activity {asked.name!r} is not known here; list it in activities=[...] (listed: {listed}), "
                f"or say what it returns: results={{{asked.name!r}: ...}}"
            )
        return _values_of(found.result_type), found

    @st.composite
    def made(draw: Any) -> WorkflowHistory:
        random = draw(st.randoms(use_true_random=False))
        required = definition.argument_types[: definition.required_arguments]
        values = [draw(one_of(each)) for each in arguments] or [draw(_values_of(hint)) for hint in required]
        sent = [
            (name, encoder.encode(draw(one_of(value))))
            for name, value in (signals or {}).items()
            for _ in range(draw(st.integers(0, 2)))
        ]
        play = Play(workflow, values, random, codec=encoder, children=children, signals=sent, longest=term)
        try:
            with suppress(NeverEnds, TurnFailed):        # it waits for what nobody sends, or its code broke: so it stands
                play.begin()
                for _ in range(draw(st.integers(0, turns))):
                    batch = play.take()
                    if not batch:
                        break
                    outcomes: dict[int, Arrival | timedelta] = {}
                    for event in batch:
                        if isinstance(event.what, Errand):
                            outcomes[event.what.asked.op] = outcome(draw, event.what, event.at)
                    play.deliver(batch, outcomes)
            return play.main.script.history
        finally:
            play.close()

    def outcome(draw: Any, errand: Errand, at: datetime) -> Arrival | timedelta:
        asked = errand.asked
        if failures and draw(st.integers(0, 5)) == 5:
            failure = Failure("application", "drawn", type="Drawn", non_retryable=draw(st.booleans()))
            return judged(errand, failure, at)
        values, found = result_of(asked)
        return ActivityCompleted(asked.op, encoder.encode(draw(values), found.result_type if found is not None else Any))

    history: st.SearchStrategy[WorkflowHistory] = made()
    return history


def assert_rebuilds(workflow: Any, history: WorkflowHistory, *, codec: Codec | None = None) -> None:
    """Fail unless a run can be taken up by another worker after each turn of this journal: what it asks then is the same.

    Raises:
        NondeterminismError: the code asks for something else than the journal holds; the message shows both sides.
        TurnFailed: the code broke.
    """
    definition = definition_of(workflow)
    last = history.journal[-1].turn if history.journal else 0
    for turn in range(1, last + 1):
        entries = [each for each in history.journal if each.turn <= turn]
        rebuild(definition, history.info, codec or JsonCodec(), entries).close()


def _values_of(hint: Any) -> Any:
    """Values of a type, as JSON can carry them."""
    from hypothesis import strategies as st

    plain = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=10)
    if hint is Any or hint is object:
        return plain
    if hint is None or hint is type(None):
        return st.none()
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint is int:
        return st.integers(-(2**53), 2**53)
    if hint is str:
        return st.text(st.characters(codec="utf-8"), max_size=20)
    return st.from_type(hint)
