"""Resets and forks: what a run's journal up to a point says about the run that begins there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from memflow.client.link import Link
from memflow.codec import Codec
from memflow.core.definition import Origin
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import WriteMemo, WriteRecord
from memflow.core.points import Left, Point, find_point, left_at
from memflow.core.record import Document, folding
from memflow.errors import ConfigurationError, PayloadError, WorkflowAlreadyStartedError, WorkflowNotFoundError
from memflow.names import new_id
from memflow.payload import Payload
from memflow.store.turns import ActivityRow
from memflow.store.values import Branch, RunRow
from memflow.workflow import standalone


async def branch(
    link: Link,
    row: RunRow,
    wanted: int | str,
    *,
    fork: bool,
    new_id_of_workflow: str | None,
    reapply: bool,
    version: str | None,
    reason: str | None,
) -> tuple[str, str, int]:
    """Begin a run with the journal of `row` up to a point. Its workflow id, run id and row.

    Raises:
        ConfigurationError: no such point, or a child or a hook is under way there that cannot be shared.
        WorkflowAlreadyStartedError: the fork's id is taken.
        WorkflowNotFoundError: the run is gone.
        PayloadError: what is to be written anew cannot be read here.
    """
    what = "fork(from_=)" if fork else "reset(to=)"
    activity = standalone.activity_of(row.workflow)
    if fork and activity is not None:
        raise ConfigurationError(
            f"{what}: {row.workflow_id!r} is the activity {activity!r}, started without a workflow;"
            " start it again under another id"
        )
    journal = await link.store.history(row.run)
    point = find_point(journal, wanted, what=what)
    base = await link.store.branch_base(row.run)
    if base is None:
        raise WorkflowNotFoundError(row.workflow_id, run_id=row.run_id, namespace=link.namespace)
    kept = journal[: point.seq]
    left = left_at(journal, point)
    new_run_id = new_id()
    made = Branch(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        fork=fork,
        seq=point.seq,
        turn=point.turn,
        last_at=point.at,
        new_workflow_id=(new_id_of_workflow or new_id()) if fork else row.workflow_id,
        new_run_id=new_run_id,
        first_run_id=new_run_id if fork else row.first_run_id,
        version=version,
        origins=_origins(base.origins, point, row),
        reapply=reapply,
        memo=_folded(link, base.memo, kept, WriteMemo),
        record=_folded(link, base.record, kept, WriteRecord) or base.record,
        activities=_activities(left, row, await link.store.now(), link.codec),
        cancelled=left.cancelled,
        waits=left.opened.waits,
        children=left.opened.children,
        hooks=left.opened.hooks,
        reason=reason,
    )
    branched = await link.store.branch(made)
    match branched.outcome:
        case "taken":
            raise WorkflowAlreadyStartedError(
                made.new_workflow_id, workflow=row.workflow, run_id=branched.about, reason="a run with this id is open"
            )
        case "children":
            raise ConfigurationError(
                f"{what}: at entry {point.seq} the run waits for children that have not ended ({branched.about}), and a child"
                " answers one parent; fork before they were started, or wait for them"
            )
        case "hooks":
            raise ConfigurationError(
                f"{what}: at entry {point.seq} the run waits for hooks that have not ended ({branched.about}), and a hook answers"
                " one run; fork before they were sent, or wait for them"
            )
        case "not_found":
            raise WorkflowNotFoundError(row.workflow_id, run_id=row.run_id, namespace=link.namespace)
        case _:
            assert branched.run is not None, "a branch that was made has a row"
            return made.new_workflow_id, made.new_run_id, branched.run


def _origins(before: Sequence[Origin], point: Point, row: RunRow) -> list[Origin]:
    """Whose ids the kept turns were written under: of the run itself, after those that it had copied."""
    older = [each for each in before if each.turn < point.turn]
    cut = [each for each in before if each.turn >= point.turn][:1]
    if not cut:
        return [*older, Origin(point.turn, row.workflow_id, row.run_id, row.first_run_id)]
    # Later mail of the run itself may come along.
    return [Origin(0, row.workflow_id, row.run_id, row.first_run_id), *older, replace(cut[0], turn=point.turn)]


def _activities(left: Left, row: RunRow, now: datetime, codec: Codec) -> list[ActivityRow]:
    """Activities without an answer, to be run anew: their time begins now."""
    rows: list[ActivityRow] = []
    for op, asked in left.opened.activities.items():
        if asked.options.is_local:                       # no row: whoever takes the run begins it
            continue
        try:
            codec.decode(asked.input)
        except PayloadError as error:
            raise PayloadError(
                f"activity {asked.name!r} would be run anew, and its arguments cannot be read here ({error});"
                " use a client with the codec that they were written with"
            ) from error
        limit = asked.options.schedule_to_close_timeout
        queue = asked.options.task_queue or row.task_queue
        close_by = None if limit is None else now + limit
        rows.append(ActivityRow(op, asked.name, queue, asked.input, asked.options, asked.headers, 0, now, now, close_by))
    return rows


def _folded(
    link: Link, given: Payload | None, journal: Sequence[JournalEntry], kind: type[WriteMemo] | type[WriteRecord]
) -> Payload | None:
    """The memo or record as these entries leave it; None if none of them writes it."""
    codec = link.codec
    written = [each.entry for each in journal if isinstance(each.entry, kind)]
    if not written:
        return None
    document: Document = {} if given is None else codec.decode(given, dict[str, Any])
    for entry in written:
        if isinstance(entry, WriteMemo):
            document, _ = folding("memo.set", [codec.decode(entry.fields)])(document)
        else:
            document, _ = folding(entry.verb, codec.decode(entry.arguments))(document)
    return codec.encode(document)
