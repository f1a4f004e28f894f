"""Temporal's sandbox, by name: its restrictions hold in the workflow's own modules, and no module is imported anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from memflow.temporal.worker.runners import UnsandboxedWorkflowRunner, WorkflowRunner
from memflow.temporal.worker.workflow_sandbox.matching import SandboxMatcher
from memflow.temporal.worker.workflow_sandbox.restrictions import SandboxRestrictions
from memflow.temporal.worker.workflow_sandbox.sandbox import ModuleSandbox, UnintentionalPassthroughError
from memflow.temporal.workflow.dialect import TemporalDialect
from memflow.temporal.workflow.words import RestrictedWorkflowAccessError

__all__ = [
    "RestrictedWorkflowAccessError",
    "SandboxMatcher",
    "SandboxRestrictions",
    "SandboxedWorkflowRunner",
    "UnintentionalPassthroughError",
]


@dataclass(frozen=True)
class SandboxedWorkflowRunner(WorkflowRunner):
    """In a sandbox: what `restrictions` restrict is refused in the workflow's own modules."""

    restrictions: SandboxRestrictions = SandboxRestrictions.default
    runner_class: type[WorkflowRunner] = UnsandboxedWorkflowRunner
    """Accepted: workflows are run by memflow's worker."""

    @cached_property
    def _sandboxes(self) -> dict[tuple[str, ...], ModuleSandbox]:
        return {}

    def for_debugging(self) -> WorkflowRunner:
        members = self.restrictions.invalid_module_members.with_child_unrestricted("__builtins__", "breakpoint")
        return replace(self, restrictions=replace(self.restrictions, invalid_module_members=members))

    def dialect(self, cls: type) -> TemporalDialect:
        modules = tuple(dict.fromkeys(each.__module__ for each in cls.__mro__))
        sandbox = self._sandboxes.get(modules)
        if sandbox is None:
            sandbox = self._sandboxes[modules] = ModuleSandbox(self.restrictions, modules)
        return TemporalDialect(sandbox, guarded=True)
