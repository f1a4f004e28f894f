"""Which run this is, and what its headers tell of where it came from. Plain values: the core and the interceptors share them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from memflow.payload import Payload

SCHEDULE_HEADER = "memflow-schedule-id"
SCHEDULED_AT_HEADER = "memflow-scheduled-at"
"""Headers that tell a run which schedule started it, and for which instant."""

LAST_RESULT_HEADER = "memflow-last-result"
LAST_FAILURE_HEADER = "memflow-last-failure"
"""Headers with what the schedule's run before this one left: `header_of` a payload."""

CRON_HEADER = "memflow-cron"
"""A cron line, perhaps with `CRON_TZ=<zone> ` before it: when a run ends that carries it, another follows at its next time."""


def header_of(payload: Payload, bound: str | None = None) -> str:
    """A payload as the text of a header. `bound`: the id of the run that it is bound to, if it is sealed."""
    found = [base64.b64encode(payload.data).decode(), payload.encoding]
    return json.dumps(found if bound is None else [*found, bound])


def payload_in(header: str | None) -> Payload | None:
    """The payload that `header_of` wrote."""
    if header is None:
        return None
    data, encoding, *_ = json.loads(header)
    return Payload(base64.b64decode(data), encoding)


def bound_in(header: str) -> str | None:
    """The run that a payload in a header is bound to."""
    _, _, *bound = json.loads(header)
    return bound[0] if bound else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose ids the turns up to and including `turn` were written under: of the run that a reset or fork copied them from.

    With turn 0 no turn is that run's, but payloads may be.
    """

    turn: int
    workflow_id: str
    run_id: str
    first_run_id: str = ""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which run this is. Everything here is fixed when the run starts."""

    namespace: str
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    started_at: datetime
    attempt: int = 1
    first_run_id: str | None = None
    parent_workflow_id: str | None = None
    parent_run_id: str | None = None
    headers: dict[str, str] | None = None
    continued_run_id: str | None = None
    """The run before this one in its chain: it continued as new, or failed and is tried again."""
    given_record: Payload | None = field(default=None, repr=False)
    given_memo: Payload | None = field(default=None, repr=False)
    handed_on: Mapping[str, Payload] | None = field(default=None, repr=False, kw_only=True)
    """What headers hold that are sealed, by their names. Not in `headers`, which code may send on."""

    @property
    def schedule_id(self) -> str | None:
        """The schedule that started this run, or the run that it goes on from."""
        return (self.headers or {}).get(SCHEDULE_HEADER)

    @property
    def scheduled_at(self) -> datetime | None:
        """The instant for which that schedule started it; it may begin later (jitter, catching up, waiting for another run)."""
        text = (self.headers or {}).get(SCHEDULED_AT_HEADER)
        return None if text is None else datetime.fromisoformat(text)
    origins: tuple[Origin, ...] = field(default=(), repr=False)
    """Of a run that was reset or forked, oldest first: what its copied turns drew from their ids must come out the same."""

    def at_turn(self, turn: int) -> RunInfo:
        """This run as the code of that turn saw it."""
        for origin in self.origins:
            if turn <= origin.turn:
                return replace(self, workflow_id=origin.workflow_id, run_id=origin.run_id)
        return self
