"""Everything that the world can bring a run. Each is a value; together they are the union `Arrival`.

An arrival with an `op` answers the interrupt of that number; the others nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memflow.failure import Failure
from memflow.payload import NO_ARGUMENTS, Payload
from memflow.quick import quick


def no_headers() -> dict[str, str]:
    """The default of `headers`."""
    return {}


@quick
@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first arrival of every run. Its input lies on the run's row, not a second time in the journal."""

    input: Payload = NO_ARGUMENTS


@quick
@dataclass(frozen=True, slots=True)
class ActivityCompleted:
    """An activity returned."""

    op: int
    result: Payload


@quick
@dataclass(frozen=True, slots=True)
class ActivityFailed:
    """An activity failed, and there is no further attempt."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class ActivityTimedOut:
    """An activity's time was up, and there is no further attempt."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class ActivityCancelled:
    """An activity ended because its cancellation was asked for."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer's time has come. Never early by the database's clock."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A signal. With `op` it answers `AwaitSignal`; without, it was sent to this run by `name`."""

    name: str
    payload: Payload
    op: int | None = None
    headers: Mapping[str, str] = field(default_factory=no_headers)


@quick
@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """An update: a request that one of the run's handlers answers, once per `update_id`. `input` is a list of arguments."""

    update_id: str
    name: str
    input: Payload = NO_ARGUMENTS
    headers: Mapping[str, str] = field(default_factory=no_headers)


@quick
@dataclass(frozen=True, slots=True)
class WaitCancelled:
    """Somebody cancelled the escalation of a wait: nobody will answer it. `name` is the signal id."""

    op: int
    name: str


@quick
@dataclass(frozen=True, slots=True)
class HookReceived:
    """Start a hook in this run: a function that its worker knows by `name`. `search` goes into the run's record first.

    With `reply_op` that operation of run `reply_run_id` waits for the end of the hook.
    """

    hook_id: str
    name: str
    input: Payload = NO_ARGUMENTS
    search: Payload | None = None
    reply_workflow_id: str | None = None
    reply_run_id: str | None = None
    reply_op: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class HookDelivered:
    """Another run has the hook in its inbox."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class HookNotDelivered:
    """The run that a hook was sent to has ended (with `status`), or is not there (None)."""

    op: int
    workflow_id: str
    status: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class HookCompleted:
    """A hook in another run returned."""

    op: int
    result: Payload


@quick
@dataclass(frozen=True, slots=True)
class HookFailed:
    """A hook in another run failed, or that run ended before it."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class MessageDelivered:
    """Another run has the signal or cancellation in its inbox. Only told where it was asked for."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class MessageNotDelivered:
    """The run that a signal or cancellation was sent to has ended (with `status`), or is not there (None)."""

    op: int
    workflow_id: str
    status: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child's run row exists. Only asked for by `start_child`; `execute_child` waits for the end alone."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class ChildNotStarted:
    """The child's workflow id is taken by another run."""

    op: int
    workflow_id: str
    run_id: str | None


@quick
@dataclass(frozen=True, slots=True)
class ChildCompleted:
    """A child run completed."""

    op: int
    result: Payload


@quick
@dataclass(frozen=True, slots=True)
class ChildFailed:
    """A child run failed, timed out or was terminated; the failure says which."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class ChildCancelled:
    """A child run ended as cancelled."""

    op: int
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asks this run to cancel itself."""

    reason: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class RunTerminated:
    """The run was ended from outside, at once. Written by whoever terminated it; no code sees it."""

    reason: str | None = None


@quick
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
    | WaitCancelled
    | MessageDelivered
    | MessageNotDelivered
    | HookDelivered
    | HookNotDelivered
    | HookCompleted
    | HookFailed
)
"""Arrivals that answer one interrupt, by its op."""

Arrival = (
    RunStarted
    | SignalReceived
    | UpdateReceived
    | HookReceived
    | CancelRequested
    | RunTerminated
    | RunTimedOut
    | Answer
)
"""Whatever the world can bring a run."""


@quick
@dataclass(frozen=True, slots=True)
class Turn:
    """Arrivals delivered together, and the time they bring. `at` is aware UTC and never before the turn before it."""

    at: datetime
    arrivals: Sequence[Arrival]
