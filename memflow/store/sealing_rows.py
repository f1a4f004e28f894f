"""Which payloads the rows of runs, schedules and escalations hold. Beside `sealing`, which says where each belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memflow.payload import Payload
from memflow.store import sealing
from memflow.store.escalations import EscalationRow
from memflow.store.schedule_values import ScheduleRow
from memflow.store.sealing import Ids, Visit, maybe
from memflow.store.values import Branch, NewRun, RunRow


def new_run(visit: Visit, run: NewRun) -> NewRun:
    """Visit a run that is to be started. Its search fields are left as they are: Postgres searches in them."""
    signal = run.signal
    if signal is not None:
        signal = signal[0], visit(signal[1], (run.namespace, "signal", run.workflow_id, signal[0]))
    return replace(
        run,
        input=visit(run.input, (run.namespace, "input", run.run_id)),
        memo=maybe(visit, run.memo, (run.namespace, "memo", run.run_id)),
        signal=signal,
    )


def run_row(visit: Visit, namespace: str, ids: Ids, row: RunRow) -> RunRow:
    """Visit what a run's row shows."""
    return replace(
        row,
        input=visit(row.input, *ids.given(namespace, "input")),
        result=maybe(visit, row.result, (namespace, "result", ids.chain)),
        memo=maybe(visit, row.memo, *ids.given(namespace, "memo")),
        detail=sealing.detail(visit, namespace, ids, row.detail),
    )


def branch(visit: Visit, namespace: str, found: Branch) -> Branch:
    """Visit what a reset or fork writes anew. What Postgres copies is bound to where it was; the record is searched."""
    ids = Ids(found.new_workflow_id, found.new_run_id, found.first_run_id)
    return replace(
        found,
        memo=maybe(visit, found.memo, (namespace, "memo", ids.chain)),
        activities=[sealing.activity(visit, namespace, ids, each) for each in found.activities],
    )


def schedule(visit: Visit, namespace: str, row: ScheduleRow) -> ScheduleRow:
    """Visit what a schedule gives its runs. Their search fields are left; how the last run ended is left to the next one."""
    action = replace(
        row.action,
        input=visit(row.action.input, (namespace, "schedule", row.id, "input")),
        memo=maybe(visit, row.action.memo, (namespace, "schedule", row.id, "memo")),
    )
    return replace(row, action=action)


class ChangedMeanwhile(Exception):
    """Somebody else has changed a schedule since it was read."""


class Swap:
    """A change of a schedule, made on plain payloads while its row is held, where nothing can be awaited.

    So it is tried out before; what it gave then is sealed already.
    """

    def __init__(self, before: ScheduleRow, plain: ScheduleRow, after: ScheduleRow, sealed: ScheduleRow) -> None:
        self._before = before
        self._plain = plain
        self._known = [(plain, before), (after, sealed)]

    def around(self, change: Callable[[ScheduleRow], ScheduleRow]) -> Callable[[ScheduleRow], ScheduleRow]:
        """The change, from sealed row to sealed row."""

        def changed(now: ScheduleRow) -> ScheduleRow:
            before, plain = self._before.action, self._plain.action
            if (now.action.input, now.action.memo) != (before.input, before.memo):
                raise ChangedMeanwhile
            made = change(replace(now, action=replace(now.action, input=plain.input, memo=plain.memo)))
            pairs = [(p.action.input, s.action.input) for p, s in self._known]
            memos = [(p.action.memo, s.action.memo) for p, s in self._known]
            return replace(
                made,
                action=replace(
                    made.action,
                    input=_sealed(pairs, made.action.input),
                    memo=None if made.action.memo is None else _sealed(memos, made.action.memo),
                ),
            )

        return changed


def _sealed(pairs: list[tuple[Payload, Payload]] | list[tuple[Payload | None, Payload | None]], plain: Payload) -> Payload:
    for known, sealed in pairs:
        if known == plain and sealed is not None:
            return sealed
    raise ChangedMeanwhile                               # it depends on something else than the row, and that has changed


def escalation(visit: Visit, namespace: str, row: EscalationRow) -> EscalationRow:
    """Visit an escalation. What describes it is left as it is, for people who look for it."""
    place = (namespace, "escalation", str(row.id)) if row.signal_id is None else (namespace, "signal id", row.signal_id)
    return replace(row, payload=maybe(visit, row.payload, place))
