"""Temporal's sandbox, by name: its settings are accepted, and memflow's guard does the work without importing anything anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from memflow.temporal.worker.runners import WorkflowRunner
from memflow.temporal.workflow import NondeterminismError, SandboxImportNotificationPolicy
from memflow.temporal.workflow.dialect import TemporalDialect
from memflow.temporal.workflow.words import RestrictedWorkflowAccessError

__all__ = [
    "RestrictedWorkflowAccessError",
    "SandboxMatcher",
    "SandboxRestrictions",
    "SandboxedWorkflowRunner",
    "UnintentionalPassthroughError",
]


class UnintentionalPassthroughError(NondeterminismError):
    """Accepted: modules are never imported a second time, so that none is passed through by mistake."""

    def __init__(self, qualified_name: str) -> None:
        super().__init__(f"Module {qualified_name} was not intentionally passed through to the sandbox.")
        self.qualified_name = qualified_name


@dataclass(frozen=True)
class SandboxMatcher:
    """Names that are restricted. Accepted, without effect."""

    access: set[str] | frozenset[str] = frozenset()
    use: set[str] | frozenset[str] = frozenset()
    children: Mapping[str, SandboxMatcher] = field(default_factory=dict[str, "SandboxMatcher"])
    match_self: bool = False
    only_runtime: bool = False
    leaf_message: str | None = None
    leaf_warning: type[Warning] | None = None
    exclude: set[str] | frozenset[str] = frozenset()
    all: ClassVar[SandboxMatcher]
    all_uses: ClassVar[SandboxMatcher]
    none: ClassVar[SandboxMatcher]

    @staticmethod
    def nested_child(path: Sequence[str], child: SandboxMatcher) -> SandboxMatcher:
        """A matcher for names below a path."""
        made = child
        for name in reversed(path):
            made = SandboxMatcher(children={name: made})
        return made

    def with_child_unrestricted(self, *child_path: str) -> SandboxMatcher:
        """The same without what lies at that path."""
        first, *rest = child_path
        if not rest:
            return replace(self, exclude={*self.exclude, first})
        child = self.children.get(first)
        if child is None:
            return self
        return replace(self, children={**self.children, first: child.with_child_unrestricted(*rest)})

    def __or__(self, other: SandboxMatcher) -> SandboxMatcher:
        children = {**self.children}
        for name, child in other.children.items():
            children[name] = children[name] | child if name in children else child
        return SandboxMatcher(
            {*self.access, *other.access},
            {*self.use, *other.use},
            children,
            self.match_self or other.match_self,
            self.only_runtime or other.only_runtime,
            self.leaf_message or other.leaf_message,
            self.leaf_warning or other.leaf_warning,
            {*self.exclude, *other.exclude},
        )


SandboxMatcher.all = SandboxMatcher(access={"*"})
SandboxMatcher.all_uses = SandboxMatcher(use={"*"})
SandboxMatcher.none = SandboxMatcher()


@dataclass(frozen=True)
class SandboxRestrictions:
    """What a sandbox restricts. Accepted, without effect: the guard refuses what no replay could repeat, and nothing else."""

    passthrough_modules: set[str] = field(default_factory=set[str])
    invalid_modules: SandboxMatcher = field(default_factory=SandboxMatcher)
    invalid_module_members: SandboxMatcher = field(default_factory=SandboxMatcher)
    import_notification_policy: SandboxImportNotificationPolicy = SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    passthrough_all_modules: bool = False
    disable_lazy_sys_module_passthrough: bool = False
    default: ClassVar[SandboxRestrictions]
    passthrough_modules_minimum: ClassVar[set[str]] = set()
    passthrough_modules_with_temporal: ClassVar[set[str]] = {"memflow"}
    passthrough_modules_maximum: ClassVar[set[str]] = {"memflow"}
    passthrough_modules_default: ClassVar[set[str]] = {"memflow"}
    invalid_modules_default: ClassVar[SandboxMatcher] = SandboxMatcher()
    invalid_module_members_default: ClassVar[SandboxMatcher] = SandboxMatcher()

    def with_passthrough_modules(self, *modules: str) -> SandboxRestrictions:
        """The same with these modules passed through."""
        return replace(self, passthrough_modules={*self.passthrough_modules, *modules})

    def with_passthrough_all_modules(self) -> SandboxRestrictions:
        """The same with all modules passed through."""
        return replace(self, passthrough_all_modules=True)

    def with_import_notification_policy(self, policy: SandboxImportNotificationPolicy) -> SandboxRestrictions:
        """The same with another policy."""
        return replace(self, import_notification_policy=policy)


SandboxRestrictions.default = SandboxRestrictions(passthrough_modules={"memflow"})


@dataclass(frozen=True)
class SandboxedWorkflowRunner(WorkflowRunner):
    """In a sandbox: with memflow's guard."""

    restrictions: SandboxRestrictions = SandboxRestrictions.default
    runner_class: type[object] = object

    def dialect(self, module: str) -> TemporalDialect:
        restrictions = self.restrictions
        top = module.partition(".")[0]
        passed = restrictions.passthrough_all_modules or not {module, top}.isdisjoint(restrictions.passthrough_modules)
        return TemporalDialect(None if passed else module, guarded=True)
