"""Why a run does not go on, as the failure of a workflow task: the line that a parked run is shown with, in Temporal's words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from memflow.failure import Failure
from memflow.temporal.api.enums.v1 import WorkflowTaskFailedCause as Cause

_STUCK: Final = "stuck: "
_UNSERVED: Final = "no worker of version "
"""Nobody has tried such a run, so nothing has failed."""

_UNKNOWN: Final = re.compile(r"workflow type .* is not known to the worker that took it \(it knows (.*)\)", re.DOTALL)
_RAISED: Final = re.compile(r"([A-Za-z_]\w*): (.*)", re.DOTALL)
"""An error of the code: its type and its text."""

_DEADLOCK: Final = "TurnTooLong"
_MISMATCH: Final = "CodeMismatch"
"""How a report begins of code that asks for something else than the journal holds."""


_LIMIT: Final = timedelta(seconds=10)
"""How long a turn may compute, where its workflow was not started with a limit for tasks."""


def task_failure(detail: str, workflow: str, limit: timedelta | None = None) -> tuple[Cause, Failure] | None:
    """The cause and the failure of the task that a run is parked at; None where it is not parked so.

    `limit` is the time that a task of it may take.
    """
    text = detail.removeprefix(_STUCK)
    if text == detail or text.startswith(_UNSERVED):
        return None
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
    unknown = _UNKNOWN.match(text)
    if unknown is not None:
        text = f"Workflow class {workflow} is not registered on this worker, available workflows: {unknown[1]}"
        return cause, Failure("application", text, type="NotFoundError")
    raised = _RAISED.match(text)
    if raised is None or raised[1] == _MISMATCH:
        text = text.removeprefix(f"{_MISMATCH}: ")
        cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
        return cause, Failure("application", f"[TMPRL1100] Nondeterminism error: {text}", type="NondeterminismError")
    kind, text = raised.groups()
    if kind == _DEADLOCK:
        seconds = (limit or _LIMIT).total_seconds()
        text = f"[TMPRL1101] Potential deadlock detected: workflow didn't yield within {seconds:g} second(s)."
        kind = "_DeadlockError"
    return cause, Failure("application", text, type=kind)
