"""Says in words what the runs of an environment wait for, when a test waits in vain."""

from __future__ import annotations

from memflow.client.describe import waiting_of
from memflow.codec import JsonCodec
from memflow.errors import MemflowError
from memflow.failure import decode_failure, exception_of
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.values import RunRow

RUNS = 20
"""Runs named in one message."""


class NeverEndsError(MemflowError):
    """A result that a test awaits will not come. The message says what each open run waits for."""


class ForgottenWarning(UserWarning):
    """A test left a worker or a run behind that nobody waited for; the message names it."""


async def waiting_lines(store: Store) -> str:
    """One line for each open run: what it waits for and where, or what keeps it."""
    rows = [row for row in await store.list_runs(None, limit=500) if row.status.is_open]
    lines = [await _line(store, row) for row in rows[:RUNS]]
    if len(rows) > RUNS:
        lines.append(f"  and {len(rows) - RUNS} more")
    return "\n".join(lines) if lines else "  no run is open"


def in_words(payload: Payload) -> str:
    """A stored failure and its causes, in one line."""
    error: BaseException | None = exception_of(decode_failure(payload), JsonCodec())
    said: list[str] = []
    while error is not None:
        said.append(f"{getattr(error, 'type', None) or type(error).__name__}: {str(error).partition(chr(10))[0]}")
        error = error.__cause__
    return ", caused by ".join(said)


async def _line(store: Store, row: RunRow) -> str:
    said = [f"  {row.workflow} {row.workflow_id}"]
    if row.detail is not None:
        said.append(row.detail)
    elif row.unserved:
        said.append(f"is pinned to version {row.version!r}; no worker of it serves its task queue {row.task_queue!r}")
    elif row.length == 0:
        said.append(f"has not begun; does a worker serve its task queue {row.task_queue!r}?")
    else:
        said.append("waits for " + ("; ".join(str(each) for each in waiting_of(row)) or "nothing that it told"))
    for activity in await store.activities_of(row.run):
        facts = f"{activity['state']}, {activity['attempt']} attempts begun"
        said.append(f"activity {activity['name']} on {activity['task_queue']!r}: {facts}")
        if activity["last_failure"] is not None:
            said.append(f"the last one failed with {in_words(activity['last_failure'])}")
    return ", ".join(said)
