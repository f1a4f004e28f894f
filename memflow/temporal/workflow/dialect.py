"""memflow's refusals and warnings in Temporal's words, which programs match on."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from memflow.core.dialect import Dialect, Sandbox
from memflow.errors import ReadOnlyError
from memflow.run_info import RunInfo
from memflow.temporal.workflow.words import ReadOnlyContextError, RestrictedWorkflowAccessError

task_log: Final = logging.getLogger("memflow.temporal.worker._workflow_instance")


def details_of(run: RunInfo) -> dict[str, Any]:
    """What log records tell of a workflow."""
    return {
        "attempt": run.attempt,
        "namespace": run.namespace,
        "run_id": run.run_id,
        "task_queue": run.task_queue,
        "workflow_id": run.workflow_id,
        "workflow_type": run.workflow,
    }


_ACTIONS = {
    "a condition": "wait condition",
    "a task": "schedule task",
    "something durable": "schedule timer",
    "a signal handler": "set signal handler",
    "a query handler": "set query handler",
    "an update handler": "set update handler",
}
"""memflow's word for what was asked by plain asyncio, or behind a verb; Temporal's verbs say their own before."""


class TemporalDialect(Dialect):
    """Temporal's words. In a sandbox, its restrictions hold in the workflow's own modules; without one, nothing is refused."""

    loop_tells_the_time: ClassVar[bool] = True
    retries_know_the_failure: ClassVar[bool] = True
    ends_with_its_turn: ClassVar[bool] = True
    answers_updates_at_end: ClassVar[bool] = True
    warnings_may_fail_turns: ClassVar[bool] = True
    update_left: ClassVar[str] = "Workflow Update failed because the Workflow completed before the Update completed."

    def __init__(self, sandbox: Sandbox | None, *, guarded: bool) -> None:
        self.sandbox = sandbox
        self.guarded = guarded

    def read_only(self, wanted: str, where: str | None) -> ReadOnlyError:
        return ReadOnlyContextError.of("patch" if wanted.startswith("patch ") else _ACTIONS.get(wanted, wanted))

    def refused(self, call: str, instead: str, where: str) -> Exception:
        return RestrictedWorkflowAccessError.at(call, instead, where)

    def log_failed_turn(
        self, log: logging.Logger, message: str, error: BaseException | None, run: RunInfo, extra: Mapping[str, object]
    ) -> None:
        facts = {**extra, "temporal_workflow": details_of(run), "__temporal_error_identifier": "WorkflowTaskFailure"}
        said = f"Failed activation on workflow {run.workflow} with ID {run.workflow_id} and run ID {run.run_id}"
        task_log.warning(said if error is not None else f"{said}: {message}", exc_info=error, extra=facts)

    def unknown_handler(self, kind: str, name: str, known: Sequence[str]) -> Exception:
        if kind == "query":
            return RuntimeError(f"Query handler for {name!r} expected but not found, known queries: [{' '.join(known)}]")
        return RuntimeError(
            f"{kind.capitalize()} handler for {name!r} expected but not found, and there is no dynamic handler. "
            f"known {kind}s: [{' '.join(known)}]"
        )

    def undead(self, run_id: str) -> str:
        return f"Timed out running eviction job for run ID {run_id}: {super().undead(run_id)}"

    def unfinished(self, kind: str, handlers: Sequence[tuple[str, str | None]], workflow: str, workflow_id: str) -> str:
        if kind == "signal":
            counted = Counter(name for name, _ in handlers)
            listed = json.dumps([{"name": name, "count": count} for name, count in counted.items()])
        else:
            listed = json.dumps([{"name": name, "id": id} for name, id in handlers])
        return (
            f"[TMPRL1102] Workflow finished while {kind} handlers are still running, so their work may be half done. Wait for"
            " them before the end with `await workflow.wait_condition(lambda: workflow.all_handlers_finished())`, or, if"
            f" nobody minds, declare them with `@workflow.{kind}(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)`."
            f" Unfinished in workflow {workflow_id} ({workflow}): {listed}"
        )
