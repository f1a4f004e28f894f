"""`crash_everywhere`: a test run again and again, its worker killed at one point after the other.

First the test runs undisturbed, twice: that shows what it does, and what of it differs by itself (ids, chance). Each commit, each
recorded end or retry of an activity, and each claim seen there is a point at which the worker is killed in a further run,
before it or after it. Whatever comes out must be the same. See `mortal.py` for what killing means.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, cast, overload

from memflow.activity import Activity
from memflow.client.histories import WorkflowHistory
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.failure import ENCODING
from memflow_testing.crash_points import CrashPoint, Fate, crash_points, line_of
from memflow_testing.crash_reports import CrashError, CrashFinding, CrashReport
from memflow_testing.effects import Effect
from memflow_testing.environment import WorkflowEnvironment
from memflow_testing.grounds import ground
from memflow_testing.mortal import MortalEnvironment
from memflow_testing.waiting import ForgottenWarning, in_words

P = ParamSpec("P")

LIMIT = 100
"""Crash points tried where nobody says how many: some seconds on Postgres."""

FAILURES = 5
"""After so many points at which something went wrong the rest is not tried: they tell the same."""

RUNS = 1000
"""Runs of one test that are compared."""

Ignored = Sequence[Activity[..., Any] | str] | Literal["all"]


_Test = Callable[[WorkflowEnvironment], Awaitable[Any]]


@overload
def crash_everywhere(test: Callable[P, Coroutine[Any, Any, Any]], /) -> Callable[P, Coroutine[Any, Any, None]]: ...
@overload
def crash_everywhere(
    *, ignore: Ignored = ..., limit: int | None = ..., seed: int = ..., timeout: Duration = ...
) -> Callable[[Callable[P, Coroutine[Any, Any, Any]]], Callable[P, Coroutine[Any, Any, None]]]: ...
@overload
def crash_everywhere(
    test: Callable[[WorkflowEnvironment], Awaitable[Any]],
    /,
    *,
    env: WorkflowEnvironment,
    ignore: Ignored = ...,
    limit: int | None = ...,
    seed: int = ...,
    timeout: Duration = ...,
) -> Coroutine[Any, Any, CrashReport]: ...
def crash_everywhere(
    test: Any = None,
    /,
    *,
    env: WorkflowEnvironment | None = None,
    ignore: Ignored = (),
    limit: int | None = LIMIT,
    seed: int = 0,
    timeout: Duration = "30 seconds",
) -> Any:
    """Run a test again and again, killing its worker at one point after the other. It must come out the same each time.

        @crash_everywhere
        async def test_order_survives(memflow_env):
            async with memflow_env.worker(order_workflow, activities=[reserve, charge]):
                return await memflow_env.client.workflow.execute(order_workflow, "o-1", task_queue=memflow_env.task_queue)

    or `await crash_everywhere(test, env=memflow_env)`, which gives a `CrashReport`. Each run gets an environment of its own like
    the one that was given. Compared are what the test returns, how its runs end, and which activities took effect with what.

    An activity that runs at the moment of a crash runs again. It is expected to be protected: it is transactional, or
    reads `activity.info().idempotency_key`. Another that took effect twice is a finding, unless `ignore` lists it (activities
    or their names; `"all"`).

    `limit` is how many points are tried, chosen by `seed` (None: all); `timeout` is how long (real time) one run may take.

    Raises:
        CrashError: something differed. It names the journal entry at which the worker was killed.
        ConfigurationError: this is no async test, it gets no environment, or that one is over a client of yours.
    """
    if limit is not None and limit < 1:
        raise ConfigurationError(f"crash_everywhere: limit={limit} tries nothing; give at least 1, or None for all points")
    term = to_timedelta(timeout, what="timeout").total_seconds()
    ignored = _names_of(ignore)

    def crashing(what: _Test, place: WorkflowEnvironment) -> _Crashing:
        return _Crashing(what, place, ignored=ignored, limit=limit, seed=seed, timeout=term)

    if env is not None:
        if not callable(test):
            raise ConfigurationError("crash_everywhere(test, env=...): the test is an async function that takes the environment")
        plain = cast("_Test", test)
        return crashing(plain, env).run()

    def decorate(test: Any) -> Any:
        if not inspect.iscoroutinefunction(test):
            name = getattr(test, "__qualname__", repr(test))
            raise ConfigurationError(f"crash_everywhere is for async tests; {name} is not one: declare it with `async def`")

        @wraps(test)
        async def everywhere(*args: Any, **kwargs: Any) -> None:
            place = next((each for each in (*args, *kwargs.values()) if isinstance(each, WorkflowEnvironment)), None)
            if place is None:
                raise ConfigurationError(f"crash_everywhere: {test.__qualname__} gets no environment; let it take memflow_env")

            async def once(other: WorkflowEnvironment) -> Any:
                swap = _Swap(place, other)
                return await test(*map(swap, args), **{name: swap(value) for name, value in kwargs.items()})

            report = await crashing(once, place).run()
            print(report)  # noqa: T201  # pytest shows it with -s or -rP

        return everywhere

    return decorate if test is None else decorate(test)


class _Swap:
    """Puts another environment, its client and its clock in the place of those that a fixture gave."""

    def __init__(self, old: WorkflowEnvironment, new: WorkflowEnvironment) -> None:
        self._pairs: list[tuple[object, object]] = [(old, new), (old.client, new.client)]
        if old.supports_time_skipping:
            self._pairs.append((old.clock, new.clock))

    def __call__(self, value: Any) -> Any:
        return next((new for old, new in self._pairs if old is value), value)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one run of the test did."""

    returned: str | None
    failed: BaseException | None
    ends: Mapping[str, str]            # by run: how it ended
    histories: Mapping[str, WorkflowHistory]
    fate: Fate


@dataclass(slots=True)
class _Crashing:
    test: _Test
    env: WorkflowEnvironment
    ignored: frozenset[str] | None     # None: all
    limit: int | None
    seed: int
    timeout: float

    async def run(self) -> CrashReport:
        """All of it."""
        began = time.monotonic()
        first = await self._play(Fate(None))
        _raise_if_failed(first)
        second = await self._play(Fate(None))
        _raise_if_failed(second)
        calm = [first, second]
        # Ids that both have were chosen by the test; the others are made by chance, and their runs are known by type and number.
        ids = [frozenset(each.fate.names.workflow_ids) for each in calm]
        chosen = ids[0] & ids[1]
        if ids[0] != ids[1]:
            calm = [await self._play(Fate(None, chosen=chosen)) for _ in range(2)]
            for each in calm:
                _raise_if_failed(each)
        points = crash_points(calm[0].fate.moments)
        report = CrashReport(len(points), seed=self.seed, unsteady=_unsteady(*calm))
        for point in self._some(points):
            seen = await self._play(Fate(point, chosen=chosen))
            report.tried += 1
            report.tried_at.append(point)
            if not seen.fate.reached:
                report.missed.append(point)
            self._judge(seen, calm, point, report)
            if len({id(each.point) for each in report.findings}) >= FAILURES:
                break
        report.seconds = time.monotonic() - began
        if report.findings:
            raise CrashError(report)
        return report

    def _some(self, points: list[CrashPoint]) -> list[CrashPoint]:
        if self.limit is None or len(points) <= self.limit:
            return points
        chosen = sorted(random.Random(self.seed).sample(range(len(points)), self.limit))
        return [points[each] for each in chosen]

    async def _play(self, fate: Fate) -> _Seen:
        """The test once, in an environment of its own."""
        env = await another_like(self.env)
        env.doom(fate)
        returned: str | None = None
        failed: BaseException | None = None
        limit = asyncio.timeout(self.timeout)
        with warnings.catch_warnings():
            if fate.point is not None:
                warnings.simplefilter("ignore", ForgottenWarning)    # said of the undisturbed runs already
            try:
                try:
                    async with limit:
                        returned = repr(await self.test(env))
                except TimeoutError as error:
                    failed = error
                    if limit.expired():
                        failed = TimeoutError(f"it did not end within {self.timeout:g} s (timeout=)")
                except Exception as error:
                    failed = error
                except BaseException as error:
                    if not _is_outcome(error):
                        raise
                    failed = error
                ends, histories = await _ends(env, fate)
            finally:
                env.failed = failed is not None
                await env.close()
        return _Seen(returned, failed, ends, histories, fate)

    # ------------------------------------------------------------------------------------------------- what must be the same

    def _judge(self, seen: _Seen, calm: Sequence[_Seen], point: CrashPoint, report: CrashReport) -> None:
        def found(what: str) -> None:
            history = calm[0].histories.get(point.moment.run)
            line = None if history is None else line_of(history, point.moment, calm[0].fate, self.env.client.codec)
            report.findings.append(CrashFinding(point, what, line))

        before = len(report.findings)
        anyway = {each.activity for run in calm for each, _ in run.fate.effects.repeated()}
        for effect, times in seen.fate.effects.repeated():
            if effect.activity in anyway:                # its time was up and it was tried again, without any crash
                continue
            if self.ignored is None or effect.activity in self.ignored:
                report.accepted[effect.activity] += 1
            elif not any(_repeat(effect) in each.what for each in report.findings):
                run = seen.fate.names.of_run_id(effect.run_id)
                found(
                    f"{_repeat(effect)} {times} times, for op {effect.activity_id} of {run}. Make it transactional, hand "
                    "activity.info().idempotency_key to whoever can recognise a repeat, or accept it with "
                    f"crash_everywhere(ignore=[{effect.activity}])"
                )
        for run, wrong in seen.fate.stuck.items():
            if run not in calm[0].fate.stuck:
                found(f"{run} is stuck: {wrong}")
        if seen.failed is not None and len(report.findings) == before:
            found(f"the test failed: {_told(seen.failed)}")
        if len(report.findings) > before:
            return                                       # the rest follows from it
        if seen.returned != calm[0].returned == calm[1].returned:
            found(f"the test returned {seen.returned}, and without a crash {calm[0].returned}")
        for run, end in calm[0].ends.items():
            if end == calm[1].ends.get(run) and seen.ends.get(run) != end:
                found(f"{run} {seen.ends.get(run, 'was never started')}; without a crash it {end}")
        for what in _differing(_calls(seen), *map(_calls, calm)):
            found(what)


async def another_like(env: WorkflowEnvironment) -> MortalEnvironment:
    """An empty environment of the same kind."""
    place = env.ground
    if place is None:
        raise ConfigurationError(
            "crash_everywhere needs environments of its own: give it one made by start_time_skipping() or the fixture "
            "memflow_env, not one over a client of yours"
        )
    dsn = getattr(place, "dsn", None)
    other = await ground("memory" if dsn is None else "postgres", dsn, skipping=env.supports_time_skipping)
    try:
        return MortalEnvironment.on(other, codec=env.client.codec)
    except BaseException:
        await other.close()
        raise


async def _ends(env: MortalEnvironment, fate: Fate) -> tuple[dict[str, str], dict[str, WorkflowHistory]]:
    """How each run ended; of undisturbed ones also what they did."""
    ends: dict[str, str] = {}
    histories: dict[str, WorkflowHistory] = {}
    for row in sorted(await env.store.list_runs(None, limit=RUNS), key=lambda each: each.run):
        fate.names.learn(row.run, row.run_id, row.workflow_id, row.workflow)
        words = "is still open" if row.status.is_open else f"ended {row.status.value}"
        if row.result is not None and not row.status.is_open:
            text = in_words(row.result) if row.result.encoding == ENCODING else row.result.data.decode(errors="replace")
            words += f" with {text}"
        name = fate.names.of(row.run)
        ends[name] = words
        if fate.point is None:
            histories[name] = await env.client.get_handle(row.workflow_id, row.run_id).history()
    return ends, histories


def _calls(seen: _Seen) -> Counter[tuple[str, str, str]]:
    names = seen.fate.names
    return Counter((names.of_run_id(each.run_id), each.activity, each.arguments) for each in seen.fate.effects.calls())


def _differing(
    seen: Counter[tuple[str, str, str]], calm: Counter[tuple[str, str, str]], again: Counter[tuple[str, str, str]]
) -> list[str]:
    """Calls that took effect in one and not in the other. Where calm runs differ, arguments are left out of account."""
    if calm != again:
        seen, calm, again = _without_arguments(seen), _without_arguments(calm), _without_arguments(again)
    if calm != again:
        return []
    more = [f"{_shown(call)} took effect, and without a crash it does not" for call in (seen - calm)]
    return more + [f"{_shown(call)} did not take effect, and without a crash it does" for call in (calm - seen)]


def _without_arguments(calls: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for (run, activity, _), times in calls.items():
        found[run, activity, "..."] += times
    return found


def _unsteady(one: _Seen, other: _Seen) -> list[str]:
    found = [f"how {run} ends" for run, end in one.ends.items() if other.ends.get(run) != end]
    if one.returned != other.returned:
        found.insert(0, "what the test returns")
    if _calls(one) != _calls(other):
        found.append("arguments of activities")
    return found


def _shown(call: tuple[str, str, str]) -> str:
    run, activity, arguments = call
    return f"activity {activity}({arguments}) of {run}"


def _repeat(effect: Effect) -> str:
    return f"activity {effect.activity} of {effect.workflow} took effect more than once without protection:"


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-20:]
    own = [each for each in last if not {"memflow", "memflow_testing", "asyncio"} & set(Path(each.filename).parts)]
    line = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{line}"


def _is_outcome(error: BaseException) -> bool:
    """Whether this is how pytest fails a test: its outcomes are no `Exception`s."""
    return type(error).__module__.startswith("_pytest.outcomes") and type(error).__name__ == "Failed"


def _raise_if_failed(seen: _Seen) -> None:
    if seen.failed is not None:
        raise seen.failed


def _names_of(ignore: Any) -> frozenset[str] | None:
    if ignore == "all":
        return None
    if isinstance(ignore, str | Activity):
        raise ConfigurationError(f'crash_everywhere: ignore={ignore!r}: give a list of activities or their names, or "all"')
    names = [each.name if isinstance(each, Activity) else each for each in ignore]
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(f"crash_everywhere: ignore lists {name!r}; it takes activities or their names")
    return frozenset(names)
