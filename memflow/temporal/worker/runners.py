"""Workflow runners: Temporal's choice between a sandbox and none. Here: how strict memflow's guard is."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from memflow.temporal.workflow.dialect import TemporalDialect


class WorkflowRunner(ABC):  # noqa: B024 - as Temporal's
    """How workflows are run."""

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:  # noqa: B027
        """Accepted: the worker knows them itself."""

    def dialect(self, cls: type) -> TemporalDialect:
        """What workflows of this class are kept from, and how they are told."""
        return TemporalDialect(None, guarded=False)

    def for_debugging(self) -> WorkflowRunner:
        """The same, with `breakpoint()` let through."""
        return self


class UnsandboxedWorkflowRunner(WorkflowRunner):
    """Without a sandbox: nothing is refused. Clocks and chance are still the run's own."""
