"""How a run ends, and what follows: the next of its chain, or nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from memflow.core.arrivals import RunTimedOut
from memflow.core.definition import CRON_HEADER, LAST_FAILURE_HEADER, LAST_RESULT_HEADER, header_of
from memflow.core.interrupts import AnswerUpdate, Cancelled, Closing, Complete, ContinueAsNew, Fail
from memflow.core.replay import Replay
from memflow.cron import next_after
from memflow.duration import to_timedelta
from memflow.failure import Failure, encode_failure
from memflow.names import next_run_id
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.turns import Claim, NextRun
from memflow.worker import verdicts

_EVERY = "@every "

AT_ONCE = timedelta(0)


def ending_of(closing: Closing | RunTimedOut | None) -> tuple[Status, Payload | None]:
    """A run's status, and its result or failure, by what ended it; None for a run that goes on."""
    match closing:
        case None:
            return Status.RUNNING, None
        case Complete(result=result):
            return Status.COMPLETED, result
        case Fail(failure=failure):
            return Status.FAILED, encode_failure(failure)
        case Cancelled(failure=failure):
            return Status.CANCELLED, encode_failure(failure)
        case ContinueAsNew():
            return Status.CONTINUED_AS_NEW, None
        case RunTimedOut(kind=kind):
            return Status.TIMED_OUT, encode_failure(verdicts.run_timed_out(kind))


def next_run(claim: Claim, closing: Closing | RunTimedOut, replay: Replay, now: datetime) -> NextRun | None:
    """The run to begin with the commit that ends this one."""
    if isinstance(closing, ContinueAsNew):
        return NextRun(
            next_run_id(claim.run_id),
            attempt=1,
            delay=AT_ONCE,
            record=replay.record_payload(),
            memo=closing.memo or replay.memo_payload(),
            input=closing.input,
            workflow=closing.workflow,
            task_queue=closing.task_queue,
            run_timeout=closing.run_timeout,
            retry=closing.retry,
            headers=closing.headers,
            signals=replay.unread,
        )
    delay = _delay(claim, closing, replay, now)
    if delay is None:
        return _by_cron(claim, closing, replay, now)
    # Another attempt begins with what the run was given, not with what it made of it.
    headers = None
    failure = _failure_of(closing)
    if failure is not None and replay.definition.dialect.retries_know_the_failure:
        headers = {**claim.headers, LAST_FAILURE_HEADER: header_of(encode_failure(failure))}
    return NextRun(
        next_run_id(claim.run_id), claim.attempt + 1, delay, claim.record, claim.memo, headers=headers, signals=replay.unread
    )


def cron_delay(line: str, now: datetime) -> timedelta | None:
    """How long until a cron line is due, as in `CRON_HEADER`; None if it never is again.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if line.startswith(_EVERY):
        return to_timedelta(line.removeprefix(_EVERY), what="cron")
    zone = "UTC"
    for mark in ("CRON_TZ=", "TZ="):
        if line.startswith(mark):
            zone, _, line = line.removeprefix(mark).partition(" ")
    at = next_after(line, now, zone)
    return None if at is None else at - now


def _by_cron(claim: Claim, closing: Closing | RunTimedOut, replay: Replay, now: datetime) -> NextRun | None:
    """The run at the next time of a cron line; None without one, and for a chain that was asked to end."""
    line = claim.headers.get(CRON_HEADER)
    if line is None or replay.cancelling or not (isinstance(closing, Complete) or _failure_of(closing) is not None):
        return None
    delay = cron_delay(line, now)
    if delay is None or (claim.execution_deadline is not None and now + delay >= claim.execution_deadline):
        return None
    headers = dict(claim.headers)
    headers.pop(LAST_FAILURE_HEADER, None)
    failure = _failure_of(closing)
    if isinstance(closing, Complete):
        headers[LAST_RESULT_HEADER] = header_of(closing.result)
    elif failure is not None:
        headers[LAST_FAILURE_HEADER] = header_of(encode_failure(failure))
    following = next_run_id(claim.run_id)
    return NextRun(following, 1, delay, claim.record, claim.memo, headers=headers, signals=replay.unread)


def unanswered(replay: Replay, following: NextRun | None) -> list[AnswerUpdate]:
    """What updates hear that a run had accepted and not answered when it ended to go on as another: that one does not know them.

    Where nothing follows, the end of the chain tells them. They are replies alone, no entries: the journal ends with the end.
    """
    if following is None and not replay.definition.dialect.answers_updates_at_end:
        return []
    return [AnswerUpdate(id, "failed", failure=verdicts.update_left(replay.definition.dialect)) for id in replay.unanswered]


def _delay(claim: Claim, closing: Closing | RunTimedOut, replay: Replay, now: datetime) -> timedelta | None:
    """How long the next attempt waits; None if there is none: a run that was asked to cancel itself is not tried again."""
    if claim.retry is None:
        return None
    failure = _failure_of(closing)
    if failure is None or replay.cancelling:
        return None
    delay = claim.retry.delay(claim.attempt, failure)
    if delay is not None and claim.execution_deadline is not None and now + delay >= claim.execution_deadline:
        return None
    return delay


def _failure_of(closing: Closing | RunTimedOut) -> Failure | None:
    match closing:
        case Fail(failure=failure):
            return failure
        case RunTimedOut(kind="run"):
            # To the policy of a run its own time is what start_to_close is to that of an activity: the next attempt has its own.
            return verdicts.timed_out("start_to_close", None)
        case _:
            return None
