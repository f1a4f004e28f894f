"""The sandbox of a workflow: what code in its own modules may look at, use and import. Modules are not imported anew for it.

Restricted modules and members are shown to those modules through proxies, while a turn runs (`own_modules`); methods of
restricted classes are watched in place (`members`); the builtins by the guard; and what is imported in a turn comes through here.
"""

from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import resolve_name
from types import ModuleType
from typing import Any, cast

from memflow.core.places import place_of
from memflow.temporal.converter import EncodingPayloadConverter, FailureConverter, PayloadCodec, PayloadConverter
from memflow.temporal.exceptions import TemporalError
from memflow.temporal.interception import Interceptor, WorkflowInboundInterceptor, WorkflowOutboundInterceptor
from memflow.temporal.worker.workflow_sandbox.matching import AtRuntime, SandboxMatcher
from memflow.temporal.worker.workflow_sandbox.members import watch, watched_in_place
from memflow.temporal.worker.workflow_sandbox.open_imports import open_imports
from memflow.temporal.worker.workflow_sandbox.own_modules import own_module, path_of_module
from memflow.temporal.worker.workflow_sandbox.proxies import Path, RestrictedModule, unproxied
from memflow.temporal.worker.workflow_sandbox.restrictions import SandboxRestrictions
from memflow.temporal.workflow import SandboxImportNotificationPolicy as Policy
from memflow.temporal.workflow import unsafe
from memflow.temporal.workflow.words import RestrictedWorkflowAccessError
from memflow.worker import guard
from memflow.worker.callers import WRAPPERS, callers, current_sandbox, excused, own_caller

WRAPPERS.add(id(globals()))

_RUNNING = AtRuntime()
_REMEMBERED = 10_000
"""Verdicts of a sandbox: far more than a module names, a few MB at most."""


class UnintentionalPassthroughError(TemporalError):
    """A workflow imports a module that is not among those passed through, and its sandbox is to refuse that."""

    def __init__(self, qualified_name: str) -> None:
        super().__init__(f"Module {qualified_name} was not intentionally passed through to the sandbox.")
        self.qualified_name = qualified_name


@dataclass(frozen=True, slots=True)
class _Verdict:
    path: Path
    wraps: bool
    refused: SandboxMatcher | None

    def check(self) -> None:
        if self.refused is not None:
            _say(".".join(self.path), self.refused)


def _say(name: str, matcher: SandboxMatcher) -> None:
    if excused() or _is_not_workflow_code():
        return  # such as a log handler, a debugger that looks, an interceptor
    if matcher.leaf_warning is not None:
        text = matcher.leaf_message or RestrictedWorkflowAccessError.default_message(name)
        warnings.warn(text, matcher.leaf_warning, stacklevel=5)
        return
    error = RestrictedWorkflowAccessError(name, override_message=matcher.leaf_message)
    error.instead = _INSTEAD.get(name.partition(".")[0], "do it in an activity")
    innermost = next(callers(), None)
    error.where = (innermost and place_of(innermost[0])) or "an unknown line"
    raise error


_INSTEAD = {
    "time": "use workflow.time(), or asyncio.sleep() to wait",
    "datetime": "use workflow.now()",
    "random": "use workflow.random()",
    "secrets": "make secrets in an activity: a workflow's chance can be foretold",
    "uuid": "use workflow.uuid4()",
    "threading": "use asyncio tasks, or do it in an activity",
}
"""What to do, by the module of what is restricted."""

_OUTSIDE = (
    *(Interceptor, WorkflowInboundInterceptor, WorkflowOutboundInterceptor),
    *(PayloadConverter, EncodingPayloadConverter, PayloadCodec, FailureConverter),
)
"""What a program may keep in the same module as its workflows, and gives to clients and workers: its code is not restricted."""


def _is_not_workflow_code() -> bool:
    """Whether what calls is, or was called in the module by, a method of a converter or interceptor."""
    sandbox = current_sandbox()
    frame = None if sandbox is None else own_caller(sandbox)
    while frame is not None and sandbox is not None and sandbox.holds(frame.f_globals):
        code = frame.f_code
        if code.co_argcount and isinstance(frame.f_locals.get(code.co_varnames[0]), _OUTSIDE):
            return True
        frame = frame.f_back
    return False


class ModuleSandbox:
    """What the modules of a workflow's class are kept from.

    Raises:
        RestrictedWorkflowAccessError: one of them has imported what no workflow may import.
        UnintentionalPassthroughError: one of them imports what is not passed through, and that is to be refused.
    """

    def __init__(self, restrictions: SandboxRestrictions, modules: Sequence[str]) -> None:
        self.restrictions = restrictions
        self._root = restrictions.invalid_module_members
        self._verdicts: dict[tuple[Path, str], _Verdict | None] = {}
        found = [each for name in modules if not _is_library(name) and (each := own_module(name)) is not None]
        self._own = [each for each in found if not restrictions.passes(each.module.__name__)]
        self._globals = {id(each.globals) for each in found}
        self._passed = self._globals - {id(each.globals) for each in self._own}
        """Those that were passed through see what they have imported as it is; builtins and imports in turns are restricted."""
        self._check_imported()
        self._notify_of_open_imports()
        _install()  # first: what is wrapped is what the modules are to see
        watch(self._root)
        for each in self._own:
            each.restrict(self._root)
        self._restrict_builtins()

    # ------------------------------------------------------------------------------------------------- for the engine

    def enter(self) -> None:
        """Show the modules' globals as a turn is to see them."""
        for each in self._own:
            each.enter()

    def leave(self) -> None:
        """Show them as they are."""
        for each in self._own:
            each.leave()

    def holds(self, module: dict[str, Any]) -> bool:
        """Whether these are the globals of one of the workflow's own modules."""
        return id(module) in self._globals or module.get("__name__") in _ADOPTED.get()

    def check(self, name: str, module: dict[str, Any]) -> None:
        """Refuse a call by its whole name.

        Raises:
            RestrictedWorkflowAccessError: it is restricted.
        """
        path = tuple(name.split("."))
        if id(module) in self._passed and path[0] != "__builtins__":
            return
        matcher = self._refusal(path[:-1], path[-1], include_use=path[0] == "__builtins__")
        if matcher is not None:
            _say(name, matcher)

    def frees(self, name: str) -> bool:
        """Whether these restrictions leave free what the default ones do not."""
        if self._root is SandboxRestrictions.invalid_module_members_default:
            return False
        path = name.split(".")
        default = SandboxRestrictions.invalid_module_members_default
        return default.match_access(_RUNNING, *path, include_use=True) and not self._root.match_access(
            _RUNNING, *path, include_use=True
        )

    # ------------------------------------------------------------------------------------------------- for proxies

    def judge(self, path: Path, name: str) -> _Verdict | None:
        """Of the member `name` of what lies at `path`."""
        key = (path, name)
        try:
            return self._verdicts[key]
        except KeyError:
            if len(self._verdicts) > _REMEMBERED:        # keys of a dict, it seems
                self._verdicts.clear()
            made = self._verdicts[key] = self._judged(path, name)
            return made

    def _judged(self, path: Path, name: str) -> _Verdict | None:
        if name.startswith("__") and name.endswith("__") and name not in ("__call__", "__dict__"):
            return None  # what Python itself asks of anything
        refused = self._refusal(path, name)
        below = self._root.child_matcher(*path, name)
        if refused is None and below is None:
            return None
        whole = path if path[0] == "__builtins__" and name == "__call__" else (*path, name)
        return _Verdict(whole, below is not None and not self._in_place((*path, name), below), refused)

    def _refusal(self, path: Path, name: str, *, include_use: bool = False) -> SandboxMatcher | None:
        matcher = self._root.child_matcher(*path)
        return None if matcher is None else matcher.access_matcher(_RUNNING, name, include_use=include_use)

    def _in_place(self, path: Path, matcher: SandboxMatcher) -> bool:
        owner = sys.modules.get(".".join(path[:-1]))
        return owner is not None and watched_in_place(matcher, vars(owner).get(path[-1]))

    # ------------------------------------------------------------------------------------------------- imports

    def imports(self, name: str, globals: Mapping[str, Any], locals: Any, fromlist: Sequence[str], level: int) -> ModuleType:
        """`import` in one of the workflow's own modules."""
        full = resolve_name("." * level + name, str(globals.get("__package__") or "")) if level else name
        self._check_import(full)
        known = full in sys.modules
        adopts = not known and self._is_ours(full)
        token = _ADOPTED.set((*_ADOPTED.get(), full)) if adopts else None
        try:
            module = _import(name, globals, locals, fromlist, level)
        finally:
            if token is not None:
                _ADOPTED.reset(token)
        if not known:
            watch(self._root)
        path = path_of_module(self._root, module)
        return module if path is None else RestrictedModule(path, module)

    def _is_ours(self, name: str) -> bool:
        """Whether a module is the program's own, and nobody has passed it through. Libraries do what they do when they load."""
        if self.restrictions.passes(name) or unsafe.is_imports_passed_through():
            return False
        return name.partition(".")[0] in {each.module.__name__.partition(".")[0] for each in self._own}

    def _check_import(self, name: str) -> None:
        if self.restrictions.invalid_modules.match_access(_RUNNING, *name.split(".")):
            raise RestrictedWorkflowAccessError(name)
        if self.restrictions.passes(name) or unsafe.is_imports_passed_through() or name in self._imported():
            return
        override = unsafe.current_import_notification_policy_override()
        policy = self.restrictions.import_notification_policy if override is None else override
        _notify(name, policy)
        if Policy.WARN_ON_DYNAMIC_IMPORT in policy and name not in sys.modules:
            warnings.warn(f"Module {name} was imported after initial workflow load.", stacklevel=4)

    def _imported(self) -> set[str]:
        """The modules that the workflow's own modules have imported as such, and they themselves."""
        values = (unproxied(value) for each in self._own for value in list(each.globals.values()))
        return {each.module.__name__ for each in self._own} | {
            value.__name__ for value in values if isinstance(value, ModuleType)
        }

    def _check_imported(self) -> None:
        for name in sorted(self._imported()):
            if self.restrictions.invalid_modules.match_access(_RUNNING, *name.split(".")):
                raise RestrictedWorkflowAccessError(name)

    def _notify_of_open_imports(self) -> None:
        """Of what was imported when the modules were loaded, while nobody looked."""
        policy = self.restrictions.import_notification_policy
        if policy & (Policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH | Policy.WARN_ON_UNINTENTIONAL_PASSTHROUGH):
            own = {each.module.__name__ for each in self._own}
            for each in self._own:
                for name in open_imports(each.module):
                    if name not in own and not self.restrictions.passes(name):
                        _notify(name, policy)

    def _restrict_builtins(self) -> None:
        """Builtins besides those that the guard hears of: a name of their own in the modules' globals, to be exchanged."""
        matcher = self._root.children.get("__builtins__")
        if matcher is None:
            return
        for name in sorted({*matcher.access, *matcher.use, *matcher.children} - {"open", "input", "breakpoint"}):
            if hasattr(builtins, name):
                for each in self._own:
                    each.show_builtin(name)


def _notify(name: str, policy: Policy) -> None:
    if Policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH in policy:
        raise UnintentionalPassthroughError(name)
    if Policy.WARN_ON_UNINTENTIONAL_PASSTHROUGH in policy:
        warnings.warn(f"Module {name} was not intentionally passed through to the sandbox.", stacklevel=5)


def _is_library(module: str) -> bool:
    top = module.partition(".")[0]
    return top == "memflow" or (top in sys.stdlib_module_names and top != "__main__")


_ADOPTED: ContextVar[tuple[str, ...]] = ContextVar("memflow_temporal_adopted", default=())
"""Modules that a turn is importing, and that no one has passed through: their code is the workflow's own."""

_import = builtins.__import__
_installed: list[bool] = []


def _install() -> None:
    """Have imports in turns come through their sandbox, from now on."""
    guard.install()
    if not _installed:
        _installed.append(True)
        builtins.__import__ = _importing


def _importing(
    name: str, globals: Mapping[str, Any] | None = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> ModuleType:
    sandbox = current_sandbox()
    if sandbox is None or own_caller(sandbox) is None:
        return _import(name, globals, locals, fromlist, level)
    return cast("ModuleSandbox", sandbox).imports(name, globals or {}, locals, fromlist or (), level)
