"""Workflow runners: Temporal's choice between a sandbox and none. Here both mean memflow's guard, or none of it."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence


class WorkflowRunner(ABC):  # noqa: B024 - as Temporal's
    """How workflows are run."""

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:  # noqa: B027
        """Accepted: the worker knows them itself."""


class UnsandboxedWorkflowRunner(WorkflowRunner):
    """Without a sandbox. memflow's guard stays: what no replay could repeat is refused."""
