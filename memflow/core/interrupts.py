"""Everything that workflow code can ask of the world. Each is a value; together they are the union `Interrupt`.

`op` numbers the durable operations of a run from 1, in the order asked; it joins an interrupt and its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from memflow.failure import Failure
from memflow.options import ActivityOptions, ChildOptions
from memflow.payload import Payload
from memflow.quick import quick
from memflow.retry import RetryPolicy


def no_headers() -> dict[str, str]:
    """The default of `headers`."""
    return {}


@quick
@dataclass(frozen=True, slots=True)
class ScheduleActivity:
    """Run an activity. `options.task_queue` None means the run's own queue."""

    op: int
    name: str
    input: Payload
    options: ActivityOptions
    headers: Mapping[str, str] = field(default_factory=no_headers)


@quick
@dataclass(frozen=True, slots=True)
class CancelActivity:
    """Stop an activity that this run scheduled."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class StartTimer:
    """Wake this run at `due`, by the database's clock. `summary` is a line for people."""

    op: int
    due: datetime
    summary: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class CancelTimer:
    """The timer is no longer waited for."""

    op: int


@quick
@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """Wait for a signal by id. A signal sent before is taken in the same commit.

    `escalation` is a JSON object: what people are asked meanwhile, as a row that one of them may claim and resolve.
    """

    op: int
    signal_id: str
    escalation: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class CancelWait:
    """The signal is no longer waited for. One that comes all the same goes back to its id.

    Of a wait with an escalation, `became` says what became of that: `cancelled`, `expired` (the wait's time was up) or
    `resolved` (a signal sent to this run by name answered it, with `payload`). None: there was no escalation.
    """

    op: int
    signal_id: str
    became: str | None = None
    payload: Payload | None = None


@quick
@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send a signal: by id to whoever waits (`workflow_id` None), or by name to one run.

    With `tell`, of those by name, the run hears whether there was one to take it.
    """

    op: int
    name: str
    payload: Payload
    workflow_id: str | None = None
    run_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=no_headers)
    tell: bool = False


@quick
@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a child run. Ids are derived from this run, so that a repeat is the same child.

    `announce` asks for `ChildStarted`; a taken id always answers `ChildNotStarted`. `memo` and `search` are JSON objects.
    """

    op: int
    workflow: str
    workflow_id: str
    run_id: str
    input: Payload
    options: ChildOptions
    announce: bool = False
    headers: Mapping[str, str] = field(default_factory=no_headers)
    memo: Payload | None = None
    search: Payload | None = None


@quick
@dataclass(frozen=True, slots=True)
class StopOther:
    """Cancel or terminate another run (`how` is `cancel` or `terminate`); a child of ours, when `child_op` is set.

    With `tell` this run hears whether there was one.
    """

    op: int
    how: str
    workflow_id: str
    run_id: str | None = None
    reason: str | None = None
    child_op: int | None = None
    tell: bool = False


@quick
@dataclass(frozen=True, slots=True)
class StartHook:
    """Start a hook: another coroutine of this run. Nothing leaves the run."""

    op: int
    name: str
    input: Payload


@quick
@dataclass(frozen=True, slots=True)
class SendHook:
    """Start a hook in another run. With `answer` its end is to come back, else only whether that run took it."""

    op: int
    hook_id: str
    name: str
    input: Payload
    workflow_id: str
    run_id: str | None = None
    search: Payload | None = None
    answer: bool = False


@quick
@dataclass(frozen=True, slots=True)
class AnswerHook:
    """What a hook returned, or how it failed, for operation `caller_op` of the run that sent it."""

    hook_id: str
    workflow_id: str
    run_id: str
    caller_op: int
    result: Payload | None = None
    failure: Failure | None = None


@quick
@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Change the run's searchable record. `verb` is one of `record.VERBS`, `arguments` a JSON array."""

    op: int
    verb: str
    arguments: Payload


@quick
@dataclass(frozen=True, slots=True)
class WriteMemo:
    """Set facts of the run's memo. `fields` is a JSON object; null removes one."""

    op: int
    fields: Payload


@quick
@dataclass(frozen=True, slots=True)
class Emit:
    """Publish events: topic to payload."""

    op: int
    events: Mapping[str, Payload]


@quick
@dataclass(frozen=True, slots=True)
class Trace:
    """Send attributes to the tracing sink. `attributes` is a JSON object."""

    op: int
    attributes: Payload


@quick
@dataclass(frozen=True, slots=True)
class MarkPatch:
    """The code took the path of patch `patch_id`. Without an op, so that the call may go away again.

    With `deprecated` a rebuild does not miss the call: no old path is left that it could choose.
    """

    patch_id: str
    deprecated: bool = False


@quick
@dataclass(frozen=True, slots=True)
class AnswerUpdate:
    """What became of an update: `accepted`, then `completed` with a result or `failed`; or `rejected`, by its validator.

    A rejection changes nothing, so neither it nor its update is an entry of the journal: the reply alone tells of it.
    """

    update_id: str
    outcome: str
    result: Payload | None = None
    failure: Failure | None = None


@quick
@dataclass(frozen=True, slots=True)
class Complete:
    """The run returned. Its result lies on the run's row, not a second time in the journal."""

    result: Payload


@quick
@dataclass(frozen=True, slots=True)
class Fail:
    """The run failed for good. The failure lies on the run's row."""

    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run ended because it was cancelled. The failure lies on the run's row."""

    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class ContinueAsNew:
    """The run ends, and the next of its chain begins in the same commit. None: as this run has it."""

    input: Payload
    workflow: str | None = None
    task_queue: str | None = None
    run_timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    memo: Payload | None = None
    headers: Mapping[str, str] | None = None


Closing = Complete | Fail | Cancelled | ContinueAsNew
"""Interrupts that end the run. At most one per run, and it is the last entry."""

Interrupt = (
    ScheduleActivity
    | CancelActivity
    | StartTimer
    | CancelTimer
    | AwaitSignal
    | CancelWait
    | SendSignal
    | StartChild
    | StopOther
    | StartHook
    | SendHook
    | AnswerHook
    | WriteRecord
    | WriteMemo
    | Emit
    | Trace
    | MarkPatch
    | AnswerUpdate
    | Closing
)
