"""What the code of an activity sees of the attempt that runs it. Public as functions of `activity`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from memflow.errors import ConfigurationError, NotInActivityError
from memflow.interceptors import ActivityOutbound


@dataclass(frozen=True, slots=True)
class Info:
    """What an activity can know of itself.

    `attempt` counts from 1. `idempotency_key` is the same for each attempt: hand it to services that recognise repeats.
    `deadline` is when this attempt's time is up, None without a limit. `heartbeat_details` are the last ones of the attempt
    before. `is_local`: it runs in the worker of its workflow and has no row of its own yet.
    """

    workflow_id: str
    run_id: str
    workflow: str
    activity: str
    activity_id: str
    attempt: int
    task_queue: str
    namespace: str
    idempotency_key: str
    headers: Mapping[str, str]
    scheduled_at: datetime
    started_at: datetime
    deadline: datetime | None
    heartbeat_timeout: timedelta | None
    heartbeat_details: tuple[Any, ...]
    is_local: bool


class ActivityContext:
    """The side of the worker: one per attempt, seen through `activity_context`. Subclassed by the worker and by tests."""

    connection: Any = None
    """The connection of the transaction, for a transactional activity."""

    outbound: ActivityOutbound | None = None
    """What `info` and `heartbeat` go through, where there are interceptors."""

    cancelled: bool = False
    """Whether the workflow, a timeout or a shutdown asks this attempt to end."""

    @property
    def info(self) -> Info:
        """The facts of this attempt."""
        raise NotImplementedError

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """Report life. May be called from any thread."""
        raise NotImplementedError


activity_context: ContextVar[ActivityContext] = ContextVar("memflow_activity")


def idempotency_key(namespace: str, workflow_id: str, run_id: str, op: int) -> str:
    """One key for all attempts of one operation of one run."""
    return f"{namespace}/{workflow_id}/{run_id}/{op}"


def in_activity() -> bool:
    """Whether an activity runs here. True also in the thread of a sync one."""
    return activity_context.get(None) is not None


def info() -> Info:
    """The facts of the attempt that runs here.

    Raises:
        NotInActivityError: none does.
    """
    current = _current("info")
    return current.info if current.outbound is None else current.outbound.info()


def heartbeat(*details: Any) -> None:
    """Say that this attempt is alive, and keep `details` (plain JSON values) for the next one. Cheap; call it often.

    It is also how an attempt with a `heartbeat_timeout` avoids it.

    Raises:
        NotInActivityError: no activity runs here.
        PayloadError: `details` cannot be stored.
    """
    current = _current("heartbeat")
    if current.outbound is None:
        current.heartbeat(details)
    else:
        current.outbound.heartbeat(*details)


def is_cancelled() -> bool:
    """Whether this attempt is asked to end. An async activity is also cancelled; a thread has to look here.

    Raises:
        NotInActivityError: no activity runs here.
    """
    return _current("is_cancelled").cancelled


def connection() -> Any:
    """The `asyncpg.Connection` of a transactional activity, inside its transaction. It is only lent: do not close it.

    Any to type checkers, since asyncpg comes without types.

    Raises:
        NotInActivityError: no activity runs here.
        ConfigurationError: the activity is not transactional.
    """
    lent = _current("connection").connection
    if lent is None:
        raise ConfigurationError("activity.connection(): this activity has none; declare it @activity.defn(transactional=True)")
    return lent


def _current(verb: str) -> ActivityContext:
    current = activity_context.get(None)
    if current is None:
        raise NotInActivityError(f"activity.{verb}() is for the code of an activity while a worker runs it")
    return current


class _ActivityLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the ids of the running activity to `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        current = activity_context.get(None)
        if current is not None:
            facts = current.info
            ids = {
                "workflow_id": facts.workflow_id,
                "run_id": facts.run_id,
                "activity": facts.activity,
                "attempt": facts.attempt,
            }
            kwargs["extra"] = {**ids, **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = _ActivityLogger(logging.getLogger("memflow.activity"), {})
"""A logger whose records carry the ids of the running activity."""
