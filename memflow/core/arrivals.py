"""Everything that the world can bring a run. Each is a value; together they are the union `Arrival`.

An arrival with an `op` answers the interrupt of that number; the others nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memflow.failure import Failure
from memflow.payload import NO_ARGUMENTS, Payload


def no_headers() -> dict[str, str]:
    """The default of `headers`."""
    return {}


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first arrival of every run. Its input lies on the run's row, not a second time in the journal."""

    input: Payload = NO_ARGUMENTS


@dataclass(frozen=True, slots=True)
class ActivityCompleted:
    """An activity returned."""

    op: int
    result: Payload


@dataclass(frozen=True, slots=True)
class ActivityFailed:
    """An activity failed, and there is no further attempt."""

    op: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class ActivityTimedOut:
    """An activity's time was up, and there is no further attempt."""

    op: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class ActivityCancelled:
    """An activity ended because its cancellation was asked for."""

    op: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer's time has come. Never early by the database's clock."""

    op: int


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A signal. With `op` it answers `AwaitSignal`; without, it was sent to this run by `name`."""

    name: str
    payload: Payload
    op: int | None = None
    headers: Mapping[str, str] = field(default_factory=no_headers)


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """An update: a request that one of the run's handlers answers, once per `update_id`. `input` is a list of arguments."""

    update_id: str
    name: str
    input: Payload = NO_ARGUMENTS
    headers: Mapping[str, str] = field(default_factory=no_headers)


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child's run row exists. Only asked for by `start_child`; `execute_child` waits for the end alone."""

    op: int


@dataclass(frozen=True, slots=True)
class ChildNotStarted:
    """The child's workflow id is taken by another run."""

    op: int
    workflow_id: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class ChildCompleted:
    """A child run completed."""

    op: int
    result: Payload


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """A child run failed, timed out or was terminated; the failure says which."""

    op: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class ChildCancelled:
    """A child run ended as cancelled."""

    op: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asks this run to cancel itself."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunTerminated:
    """The run was ended from outside, at once. Written by whoever terminated it; no code sees it."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunTimedOut:
    """The run's own time was up (`kind` is `run` or `execution`). No code sees it."""

    kind: str


Answer = (
    ActivityCompleted
    | ActivityFailed
    | ActivityTimedOut
    | ActivityCancelled
    | TimerFired
    | ChildStarted
    | ChildNotStarted
    | ChildCompleted
    | ChildFailed
    | ChildCancelled
)
"""Arrivals that answer one interrupt, by its op."""

Arrival = RunStarted | SignalReceived | UpdateReceived | CancelRequested | RunTerminated | RunTimedOut | Answer
"""Whatever the world can bring a run."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Arrivals delivered together, and the time they bring. `at` is aware UTC and never before the turn before it."""

    at: datetime
    arrivals: Sequence[Arrival]
