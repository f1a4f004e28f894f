"""Group commit: the shares of many runs in one statement, each fenced by token and length on its own.

Here the shares become the columns that `functions/30_commit.sql` takes; there it is decided who wins. Two things are
settled on this side: a value that Postgres refuses must not sink its neighbours, and a COMMIT whose answer was lost is
looked up, never blindly sent again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from memflow.core.arrivals import CancelRequested, HookReceived, RunTerminated, SignalReceived
from memflow.core.entries import to_row
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelWait,
    Emit,
    SendHook,
    SendSignal,
    StartChild,
    StopOther,
)
from memflow.core.options_json import activity_options_to_json
from memflow.errors import DatabaseError, OutcomeUnknownError
from memflow.failure import Failure, encode_failure
from memflow.payload import Payload
from memflow.store.database import Database, Record
from memflow.store.ends import commit_ends, is_end
from memflow.store.faults import Fault, fault_of
from memflow.store.rows import JOURNAL_WORDS, columns, data_of, encoding_of, headers_text, journal_row, retry_text
from memflow.store.runs import PARENT_CLOSED, terminated
from memflow.store.steps import commit_steps, is_step
from memflow.store.turns import Committed, NextRun, TurnCommit

_CANCELLED = encode_failure(Failure("cancelled", "cancelled")).data
"""The answer of a cancelled activity that nobody was running."""

_MEMBER, _JOURNAL, _ACTIVITY, _CANCEL, _EFFECT = 17, 9, 17, 3, 9


async def commit_turns(database: Database, worker: int, namespace: str, turns: Sequence[TurnCommit]) -> list[Committed]:
    """Make turns durable. The answers are in the order of `turns`.

    Raises:
        DatabaseError: nothing was written, or nobody knows and Postgres is away; the same call may be repeated.
    """
    if not turns:
        return []
    in_order = sorted(turns, key=lambda turn: turn.run)  # the order of locks, here and everywhere
    answers = await _commit(database, worker, namespace, in_order)
    by_run = {answer.run: answer for answer in answers}
    return [by_run[turn.run] for turn in turns]


async def _commit(database: Database, worker: int, namespace: str, turns: Sequence[TurnCommit]) -> list[Committed]:
    try:
        return await _sent(database, worker, namespace, turns)
    except OutcomeUnknownError:
        return await _settle(database, worker, namespace, turns)
    except DatabaseError as error:
        if error.__cause__ is None or fault_of(error.__cause__) is not Fault.DATA:
            raise
        if len(turns) == 1:
            return [Committed(turns[0].run, "refused", 0, False, str(error.__cause__))]
        # Nothing of a refused statement is written. Halving finds the culprit in log2(n) statements.
        middle = len(turns) // 2
        first = await _commit(database, worker, namespace, turns[:middle])
        return first + await _commit(database, worker, namespace, turns[middle:])


async def _sent(database: Database, worker: int, namespace: str, turns: Sequence[TurnCommit]) -> list[Committed]:
    if all(map(is_step, turns)):
        answers = await commit_steps(database, worker, turns)
        lost = [turn for turn, answer in zip(turns, answers, strict=True) if answer.outcome != "won"]
        if not lost:
            return answers
        # Fenced off, or paused: of those nothing was written, and the general statement tells which.
        told = {answer.run: answer for answer in await _general(database, worker, namespace, lost)}
        return [told.get(answer.run, answer) for answer in answers]
    if all(map(is_end, turns)):
        ended = {answer.run: answer for answer in await commit_ends(database, worker, namespace, turns)}
        rest = [turn for turn in turns if turn.run not in ended]
        if rest:
            ended.update((answer.run, answer) for answer in await _general(database, worker, namespace, rest))
        return [ended[turn.run] for turn in turns]
    return await _general(database, worker, namespace, turns)


async def _general(database: Database, worker: int, namespace: str, turns: Sequence[TurnCommit]) -> list[Committed]:
    row = await database.row("commit_turns", worker, namespace, *_columns(turns), repeat=False)
    assert row is not None, "the function always gives one row"
    return [
        Committed(turn.run, outcome, arrived, released)
        for turn, outcome, arrived, released in zip(turns, row["outcomes"], row["arrived"], row["released"], strict=True)
    ]


async def _settle(database: Database, worker: int, namespace: str, turns: Sequence[TurnCommit]) -> list[Committed]:
    """What became of a commit whose answer was lost: length and token tell. Members it did not reach are sent again."""
    known = await _looked_up(database, worker, turns)
    again = [turn for turn in turns if turn.run not in known]
    if again:
        # The broken statement may still be under way. The fence decides between it and this one, and if this one is
        # fenced off, by then the other is done: look once more.
        for answer in await _commit(database, worker, namespace, again):
            known[answer.run] = answer
        fenced = [turn for turn in again if known[turn.run].outcome == "fenced"]
        if fenced:
            known.update(await _looked_up(database, worker, fenced))
    return [known[turn.run] for turn in turns]


async def _looked_up(database: Database, worker: int, turns: Sequence[TurnCommit]) -> dict[int, Committed]:
    rows = {row["id"]: row for row in await database.fetch("committed", [turn.run for turn in turns])}
    answers = {turn.run: _became(turn, worker, rows.get(turn.run)) for turn in turns}
    return {run: answer for run, answer in answers.items() if answer is not None}


def _became(turn: TurnCommit, worker: int, row: Record | None) -> Committed | None:
    """Won or fenced; None when nothing of it is there and the run is still ours."""
    if row is None:
        return Committed(turn.run, "fenced", 0, True)
    ours = row["owner"] == worker and row["token"] == turn.token
    if turn.entries:
        if row["length"] >= turn.length + len(turn.entries) and row["last_token"] == turn.token:
            return Committed(turn.run, "won", row["arrived"], not ours)
        return None if ours and row["length"] == turn.length else Committed(turn.run, "fenced", 0, True)
    # Without entries nothing in the journal tells. Still ours: writing the same again changes nothing.
    return None if ours else Committed(turn.run, "won" if turn.release else "fenced", row["arrived"], True)


# ------------------------------------------------------------------------------------------------- columns

_MEMBER_WORDS = frozenset({0, 2, 3, 4, 5, 7, 8, 13, 14, 15})
"""Run, length, consumed, release, sticky, closing, status, retries, how many entries, turn."""


@dataclass(slots=True)
class _Rows:
    """The rows of one commit, part by part. Members are numbered from 1."""

    members: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    journal: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    activities: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    cancels: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    effects: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])


def _columns(turns: Sequence[TurnCommit]) -> list[Any]:
    """The parameters of `commit_turns` after worker and namespace. A part without rows is null, and skipped there."""
    rows = _Rows()
    for member, turn in enumerate(turns, start=1):
        _add(rows, member, turn)
    return [
        *columns(rows.members, _MEMBER, _MEMBER_WORDS),
        *columns(rows.journal, _JOURNAL, JOURNAL_WORDS),
        *_part(rows.activities, _ACTIVITY),
        *_part(rows.cancels, _CANCEL),
        _CANCELLED,
        *_part(rows.effects, _EFFECT),
        PARENT_CLOSED,
    ]


def _part(rows: list[tuple[Any, ...]], width: int) -> list[Any]:
    return columns(rows, width) if rows else [None] * width


def _add(rows: _Rows, member: int, turn: TurnCommit) -> None:
    entries = turn.entries
    last = entries[-1] if entries else None
    result = turn.result
    status = turn.status
    rows.members.append(
        (
            turn.run,
            turn.token,
            turn.length,
            turn.consumed,
            turn.release,
            turn.sticky,
            turn.wake_at,
            not status.is_open,
            status.value,
            None if result is None else result.data,
            None if result is None else result.encoding,
            turn.waiting_at,
            turn.detail,
            turn.retries,
            len(entries),
            None if last is None else last.turn,
            None if last is None else last.at,
        )
    )
    for each in entries:
        rows.journal.append((member, *journal_row(each)))
    if turn.activities:
        rows.activities.extend(_activity_rows(member, turn))
    if turn.cancelled_activities:
        rows.cancels.extend((member, op, False) for op in turn.cancelled_activities)
    if turn.dropped_activities:
        rows.cancels.extend((member, op, True) for op in turn.dropped_activities)
    for arrival in turn.mail:
        row = to_row(arrival)
        rows.effects.append((member, "mail", row.op, row.kind, None, None, row.attributes, row.encoding, row.data))
    if turn.effects:
        rows.effects.extend(_effect_rows(member, turn))
    if turn.record is not None:
        rows.effects.append((member, "record", None, None, None, None, None, turn.record.encoding, turn.record.data))
    if turn.memo is not None:
        rows.effects.append((member, "memo", None, None, None, None, None, turn.memo.encoding, turn.memo.data))
    if turn.version is not None:
        version, pinned = turn.version
        how = "pinned" if pinned else "auto_upgrade"
        rows.effects.append((member, "version", None, version, None, None, how, None, None))
    if turn.next is not None:
        rows.effects.extend(_next_rows(member, turn.next))


def _activity_rows(member: int, turn: TurnCommit) -> Iterator[tuple[Any, ...]]:
    for each in turn.activities:
        options = activity_options_to_json(each.options)
        yield (
            member,
            each.op,
            each.name,
            each.task_queue,
            each.next_attempt_at,
            each.token,
            each.attempt,
            each.scheduled_at,
            each.close_by,
            json.dumps(options, separators=(",", ":")) if options else None,
            headers_text(each.headers),
            each.input.data,
            each.input.encoding,
            data_of(each.last_failure),
            encoding_of(each.last_failure),
            data_of(each.heartbeat),
            encoding_of(each.heartbeat),
        )


def _effect_rows(member: int, turn: TurnCommit) -> Iterator[tuple[Any, ...]]:
    """Columns: member, what, op, name, workflow id, run id, attributes, encoding, data."""
    for n, effect in enumerate(turn.effects):
        match effect:
            case AwaitSignal(op=op, signal_id=signal_id, escalation=escalation):
                yield member, "await", op, signal_id, None, None, escalation, None, None
            case CancelWait(op=op, signal_id=signal_id, became=became, payload=payload):
                what = "unwait" if became is None else "unescalate"
                yield member, what, op, signal_id, None, None, became, encoding_of(payload), data_of(payload)
            case SendHook(op=op, workflow_id=target, run_id=run_id):
                row = to_row(HookReceived(effect.hook_id, effect.name, effect.input, effect.search))
                what = "hook" + _before_child(turn, n, target)
                name = "answer" if effect.answer else "announce"
                yield member, what, op, name, target, run_id, row.attributes, row.encoding, row.data
            case AnswerHook(caller_op=op, workflow_id=target, run_id=run_id):
                row = to_row(effect)
                name = "hook_completed" if effect.failure is None else "hook_failed"
                yield member, "answer_hook", op, name, target, run_id, row.attributes, row.encoding, row.data
            case SendSignal(op=op, name=name, payload=payload, workflow_id=target, run_id=run_id, headers=headers, tell=tell):
                if target is None:
                    yield member, "signal", op, name, None, None, None, payload.encoding, payload.data
                else:
                    row = to_row(SignalReceived(name, payload, headers=headers))
                    early = _before_child(turn, n, target)
                    yield member, "send" + early, op, name, target, run_id, row.attributes, row.encoding, row.data
                    if tell:
                        yield member, "tell" + early, op, None, target, run_id, None, None, None
            case AnswerUpdate(update_id=update_id, outcome=outcome):
                row = to_row(effect)
                yield member, "answer", None, update_id, None, None, outcome, row.encoding, row.data
            case StartChild(op=op):
                row = to_row(effect)
                attributes = _child_attributes(effect)
                yield member, "child", op, None, effect.workflow_id, effect.run_id, attributes, row.encoding, row.data
            case StopOther(op=op, how=how, workflow_id=target, run_id=run_id, reason=reason, tell=tell):
                arrival = CancelRequested(reason) if how == "cancel" else RunTerminated(reason)
                failure = encode_failure(terminated(reason)) if how == "terminate" else None
                early = _before_child(turn, n, target)
                if tell:                         # asked before a run that it terminates is gone
                    yield member, "tell" + early, op, None, target, run_id, None, None, None
                yield member, how + early, op, None, target, run_id, to_row(arrival).attributes, None, data_of(failure)
            case Emit(op=op, events=events):
                for topic, payload in events.items():
                    yield member, "emit", op, topic, None, None, None, payload.encoding, payload.data
            case _:
                assert_never(effect)


def _next_rows(member: int, run: NextRun) -> Iterator[tuple[Any, ...]]:
    """Columns as above, for the next run of a chain and the signals that go with it."""
    about = {
        "attempt": run.attempt,
        "delay": run.delay.total_seconds(),
        "task_queue": run.task_queue,
        "run_timeout": None if run.run_timeout is None else run.run_timeout.total_seconds(),
        "retry": retry_text(run.retry),
        "search": _base64(run.record),
        "search_encoding": encoding_of(run.record),
        "memo": _base64(run.memo),
        "memo_encoding": encoding_of(run.memo),
        "headers": None if run.headers is None else headers_text(run.headers) or "{}",
    }
    attributes = json.dumps({name: value for name, value in about.items() if value is not None}, separators=(",", ":"))
    yield member, "next", None, run.workflow, None, run.run_id, attributes, encoding_of(run.input), data_of(run.input)
    for signal in run.signals:
        row = to_row(signal)
        yield member, "carry", None, row.kind, None, None, row.attributes, row.encoding, row.data


def _base64(value: Payload | None) -> str | None:
    return None if value is None else base64.b64encode(value.data).decode()


def _before_child(turn: TurnCommit, n: int, target: str) -> str:
    """Children are started together; what was asked of an older run with the id of one of them must come before."""
    later = turn.effects[n + 1 :]
    return "_early" if any(isinstance(each, StartChild) and each.workflow_id == target for each in later) else ""


def _child_attributes(child: StartChild) -> str:
    about = {
        "workflow": child.workflow,
        "task_queue": child.options.task_queue,
        "parent_close_policy": child.options.parent_close_policy.value,
        "announce": child.announce,
        "run_timeout": None if child.options.run_timeout is None else child.options.run_timeout.total_seconds(),
        "execution_timeout": None if child.options.execution_timeout is None else child.options.execution_timeout.total_seconds(),
        "retry": retry_text(child.options.retry),
        "headers": headers_text(child.headers),
        "memo": _base64(child.memo),
        "memo_encoding": encoding_of(child.memo),
        "search": _base64(child.search),
        "search_encoding": encoding_of(child.search),
    }
    return json.dumps({name: value for name, value in about.items() if value is not None}, separators=(",", ":"))
