"""`explore`: one workflow under many orders and delays of what it waits for, each made from a seed that makes it again."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Generic, TypeVar, TypeVarTuple, overload

from memflow.activity import ActivityDefinition, idempotency_key
from memflow.codec import Codec, JsonCodec
from memflow.core.arrivals import ActivityCompleted, Arrival
from memflow.core.interrupts import Complete
from memflow.core.replay import TurnFailed
from memflow.core.timeline import render, timeline
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, MemflowError
from memflow.failure import Failure, exception_of, failure_of
from memflow.worker.registry import Registry
from memflow_testing.activities import ActivityEnvironment, default_info
from memflow_testing.playing import Errand, NeverEnds, Play, Run, judged
from memflow_testing.script import Script

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")

Signals = Mapping[str, Any] | Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Explored(Generic[R_co]):
    """How one seed went. `error` is what the workflow failed with; then there is no result.

    `calls` are the activities that returned: names and arguments in the order in which they did. `script` is the main run.
    """

    seed: int
    result: R_co | None
    error: BaseException | None
    calls: Sequence[tuple[str, tuple[Any, ...]]]
    script: Script


class ExplorationError(AssertionError):
    """A seed under which the workflow did what it must not. The message names the seed, and shows what happened under it."""

    def __init__(self, seed: int, what: str, shown: str) -> None:
        self.seed = seed
        super().__init__(f"seed {seed}: {what}\n{shown}\nto see it again: explore(..., seeds=[{seed}])")


@overload
async def explore(
    workflow: Callable[[*Ts], Awaitable[R]],
    *arguments: *Ts,
    activities: Sequence[Any] | Callable[[], Sequence[Any]] = ...,
    workflows: Sequence[Any] = ...,
    signals: Signals = ...,
    seeds: Iterable[int] = ...,
    check: Callable[[Explored[R]], Any] | None = ...,
    invariant: Callable[[], Any] | None = ...,
    same_result: bool | None = ...,
    longest: Duration = ...,
    codec: Codec | None = ...,
) -> list[Explored[R]]: ...
@overload
async def explore(
    workflow: Callable[[Any, *Ts], Awaitable[R]],
    *arguments: *Ts,
    activities: Sequence[Any] | Callable[[], Sequence[Any]] = ...,
    workflows: Sequence[Any] = ...,
    signals: Signals = ...,
    seeds: Iterable[int] = ...,
    check: Callable[[Explored[R]], Any] | None = ...,
    invariant: Callable[[], Any] | None = ...,
    same_result: bool | None = ...,
    longest: Duration = ...,
    codec: Codec | None = ...,
) -> list[Explored[R]]: ...
async def explore(  # type: ignore[misc]  # the second overload is that of methods, as in Workflows
    workflow: Any,
    *arguments: Any,
    activities: Sequence[Any] | Callable[[], Sequence[Any]] = (),
    workflows: Sequence[Any] = (),
    signals: Signals = (),
    seeds: Iterable[int] = range(50),
    check: Callable[[Explored[Any]], Any] | None = None,
    invariant: Callable[[], Any] | None = None,
    same_result: bool | None = None,
    longest: Duration = "1 day",
    codec: Codec | None = None,
) -> list[Explored[Any]]:
    """Run a workflow once for each seed, without a database: what it waits for comes in an order and after delays of that seed.

        await explore(transfer, "a", "b", activities=[withdraw, deposit], signals={"approved": True}, seeds=range(200))

    `activities` run where they end, one after the other, with retries by their policies; give a function that makes them where
    they have a state. `workflows` are the children that may be started. `signals` come at some time: to the handler of that
    name, else to whoever waits for that id. A delay is up to `longest`, as often some milliseconds as some hours.

    `invariant` is called after each turn, `check` at the end with the `Explored`; both raise (assert) where something is wrong.
    Without them all seeds must give the same result; `same_result` says whether they must besides them.

    Raises:
        ExplorationError: a check or the invariant raised, results differ, a replay asks for something else than the live
            run did, its code broke, or nothing more happens. It names the seed; `seeds=[that]` does the same again.
        ConfigurationError: something listed is none, or the workflow asks for what is not listed.
    """
    codec = codec or JsonCodec()
    term = to_timedelta(longest, what="longest")
    children = Registry(workflows, ()).workflows
    sent = [(name, codec.encode(value)) for name, value in (signals.items() if isinstance(signals, Mapping) else signals)]
    alike = (check is None and invariant is None) if same_result is None else same_result
    found: list[Explored[Any]] = []
    for seed in seeds:
        listed = activities() if callable(activities) else activities
        registry = Registry((), listed)
        play = Play(workflow, arguments, Random(seed), codec=codec, children=children, signals=sent, longest=term)
        try:
            one = await _Exploration(play, registry, codec, seed, invariant).run()
            if check is not None:
                _checked(check, one, seed, play)
            if alike and found and _outcome(one) != _outcome(found[0]):
                what = f"{_outcome(one)}, and seed {found[0].seed} {_outcome(found[0])}"
                raise ExplorationError(seed, what, _shown(play))
            found.append(one)
        finally:
            play.close()
    if not found:
        raise ConfigurationError("explore: seeds is empty; give some, such as range(50)")
    return found


@dataclass(slots=True)
class _Exploration:
    play: Play
    registry: Registry
    codec: Codec
    seed: int
    invariant: Callable[[], Any] | None
    calls: list[tuple[str, tuple[Any, ...]]] = dataclasses.field(default_factory=list[tuple[str, tuple[Any, ...]]])

    async def run(self) -> Explored[Any]:
        play = self.play
        try:
            play.begin()
            while batch := play.take():
                outcomes: dict[int, Arrival | timedelta] = {}
                for event in batch:
                    if isinstance(event.what, Errand):
                        outcomes[event.what.asked.op] = await self._attempt(event.run, event.what, event.at)
                play.deliver(batch, outcomes)
                if self.invariant is not None:
                    self.invariant()
        except (ConfigurationError, ExplorationError):
            raise
        except NeverEnds as error:
            raise ExplorationError(self.seed, str(error), _shown(play)) from None
        except TurnFailed as error:
            why = error.__cause__ or error
            raise ExplorationError(self.seed, f"{type(why).__name__}: {why}", _shown(play)) from why
        except Exception as error:                       # the invariant's, or that of a replay that asks for something else
            raise ExplorationError(self.seed, f"{type(error).__name__}: {error}", _shown(play)) from error
        script = play.main.script
        if isinstance(script.ended, Complete):
            return Explored(self.seed, script.result, None, self.calls, script)
        failure = getattr(script.ended, "failure", None) or Failure("application", "ended without a result")
        return Explored(self.seed, None, exception_of(failure, self.codec), self.calls, script)

    async def _attempt(self, run: Run, errand: Errand, at: datetime) -> Arrival | timedelta:
        """Run the activity where it ends."""
        asked = errand.asked
        definition = self.registry.activity(asked.name)
        if definition is None:
            known = ", ".join(sorted(self.registry.activities)) or "none"
            raise ConfigurationError(f"activity {asked.name!r} is not known here; list it in activities=[...] (listed: {known})")
        try:
            result = await self._call(run, errand, definition)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            failure = failure_of(asyncio.CancelledError(), self.codec)
        except Exception as error:
            failure = failure_of(error, self.codec)
        else:
            return ActivityCompleted(asked.op, result)
        return judged(errand, failure, at)

    async def _call(self, run: Run, errand: Errand, definition: ActivityDefinition) -> Any:
        asked, script = errand.asked, run.script
        facts = dataclasses.replace(
            default_info(),
            workflow_id=script.workflow_id,
            run_id=script.run_id,
            workflow=script.definition.name,
            activity=asked.name,
            activity_id=errand.id,
            attempt=errand.attempt,
            task_queue=asked.options.task_queue or "script",
            idempotency_key=idempotency_key("default", script.workflow_id, script.run_id, asked.op),
            headers=dict(asked.headers),
            scheduled_at=errand.scheduled_at,
            heartbeat_timeout=asked.options.heartbeat_timeout,
            is_local=asked.options.is_local,
            retry=asked.options.retry,
        )
        if definition.dynamic:
            arguments = [self.codec.decode(asked.input)]
        else:
            arguments = self.codec.decode_arguments(asked.input, definition.argument_types, definition.required_arguments)
        value = await ActivityEnvironment(info=facts, codec=self.codec).run(definition.run, *arguments)
        result = self.codec.encode(value, definition.result_type)
        self.calls.append((asked.name, tuple(arguments)))
        return result


def _checked(check: Callable[[Explored[Any]], Any], one: Explored[Any], seed: int, play: Play) -> None:
    try:
        check(one)
    except MemflowError:
        raise
    except Exception as error:
        raise ExplorationError(seed, f"the check failed: {type(error).__name__}: {error}", _shown(play)) from error


def _outcome(one: Explored[Any]) -> str:
    return f"gave {one.result!r}" if one.error is None else f"failed with {type(one.error).__name__}: {one.error}"


def _shown(play: Play) -> str:
    """What happened: the timeline of each run."""
    parts: list[str] = []
    for run in play.runs.values():
        script = run.script
        parts.append(f"{script.definition.name} {script.workflow_id}")
        parts.append(render(timeline(script.journal), width=100))
    return "\n".join(parts)
