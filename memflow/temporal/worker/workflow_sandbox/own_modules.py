"""The globals of modules that hold workflows: while a turn runs, restricted modules among them are seen through proxies.

They are exchanged for the length of a turn, so that what else uses such a module, activities first of all, neither sees
proxies nor pays for them. Nothing is added to the globals, for that would slow down every function in them.
"""

from __future__ import annotations

import builtins
import sys
from threading import Lock
from types import ModuleType
from typing import Any

from memflow.temporal.worker.workflow_sandbox.matching import SandboxMatcher
from memflow.temporal.worker.workflow_sandbox.members import branches, watched_in_place
from memflow.temporal.worker.workflow_sandbox.proxies import Path, proxied, restrictable


class OwnModule:
    """A module that holds workflows, for all sandboxes that know it."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module  # while it lives, so do its globals
        self.globals = vars(module)
        self._lock = Lock()
        self._turns = 0  # that run now: turns of several workers may, in threads
        self._size = 0
        self._roots: list[SandboxMatcher] = []
        self._found: dict[str, tuple[Any, Any]] = {}  # the thing itself and its proxy, by name

    def restrict(self, root: SandboxMatcher) -> None:
        """Look for what this matcher restricts, besides those given before."""
        with self._lock:
            if not any(root is each or root == each for each in self._roots):
                self._roots.append(root)
                self._look_for(root)

    def enter(self) -> None:
        """A turn begins: show proxies."""
        with self._lock:
            names = self.globals
            if len(names) != self._size:  # something was imported, or defined, since
                for root in self._roots:
                    self._look_for(root)
            self._turns += 1
            if self._turns == 1:
                for name, (real, proxy) in self._found.items():
                    if names.get(name) is real:
                        names[name] = proxy

    def leave(self) -> None:
        """It ends: show the things themselves, unless another turn goes on."""
        with self._lock:
            self._turns -= 1
            if self._turns == 0:
                names = self.globals
                for name, (real, proxy) in self._found.items():
                    if names.get(name) is proxy:
                        names[name] = real

    def show_builtin(self, name: str) -> None:
        """Have the module see a builtin through a proxy, too. It gets a name of its own there, once and for all."""
        with self._lock:
            real = getattr(builtins, name)
            if self.globals.setdefault(name, real) is real:
                self._found[name] = (real, proxied(("__builtins__", name), real))

    def _look_for(self, root: SandboxMatcher) -> None:
        self._size = len(self.globals)
        members = members_of(root)
        for name, value in list(self.globals.items()):
            if name.startswith("__") or name in self._found:
                continue
            path = path_of_module(root, value) if isinstance(value, ModuleType) else None
            known = members.get(id(value)) if path is None else None
            if known is not None:
                path = known[0]
            if path is not None:
                self._found[name] = (value, proxied(path, value))


_own: dict[str, OwnModule] = {}


def own_module(name: str) -> OwnModule | None:
    """The one module of that name; None: there is none."""
    module = sys.modules.get(name)
    if module is None:
        return None
    known = _own.get(name)
    if known is None or known.module is not module:
        known = _own[name] = OwnModule(module)
    return known


# ------------------------------------------------------------------------------------------------- what is restricted


def path_of_module(root: SandboxMatcher, module: ModuleType) -> Path | None:
    """The path of a restricted module; None: nothing of it needs a proxy."""
    path = tuple(module.__name__.split("."))
    matcher = root.child_matcher(*path)
    return path if matcher is not None and _needs_proxy(matcher, module) else None


def _needs_proxy(matcher: SandboxMatcher, value: object) -> bool:
    """Whether something is restricted there besides methods of classes, which are watched in place."""
    if matcher.match_self or matcher.access or matcher.use:
        return True
    children = ((child, vars(value).get(name)) for name, child in matcher.children.items())
    return any(not watched_in_place(child, member) and _says_something(child) for child, member in children)


def _says_something(matcher: SandboxMatcher) -> bool:
    return bool(matcher.match_self or matcher.access or matcher.use or any(map(_says_something, matcher.children.values())))


Members = dict[int, tuple[Path, Any]]
_known: dict[int, tuple[SandboxMatcher, int, Members]] = {}


def members_of(root: SandboxMatcher) -> Members:
    """What `from ... import ...` may have taken out of restricted modules, by identity."""
    loaded = [
        (path, matcher, module) for path, matcher in branches(root) if (module := sys.modules.get(".".join(path))) is not None
    ]
    known = _known.get(id(root))
    if known is not None and known[0] is root and known[1] == len(loaded):
        return known[2]
    found: Members = {}
    for path, matcher, module in loaded:
        _collect(found, path, matcher, module)
    _known[id(root)] = (root, len(loaded), found)
    return found


def _collect(found: dict[int, tuple[Path, Any]], path: Path, matcher: SandboxMatcher, module: ModuleType) -> None:
    names = vars(module)
    wanted = {*matcher.use, *matcher.access, *matcher.children} - {"*"}
    if matcher.match_self or "*" in matcher.use or "*" in matcher.access:
        wanted |= {name for name in names if _belongs(name, names[name], module)}
    for name in wanted - set(matcher.exclude):
        value = names.get(name)
        child = matcher.child_matcher(name)
        if child is None or value is None or not restrictable(value) or watched_in_place(child, value):
            continue
        if _says_something(child):
            found[id(value)] = ((*path, name), value)
            wrapped = getattr(value, "__wrapped__", None)  # by this library, after somebody had imported it
            if wrapped is not None:
                found[id(wrapped)] = ((*path, name), wrapped)


def _belongs(name: str, value: object, module: ModuleType) -> bool:
    """Whether a name is a module's own: what it has imported for itself is restricted where it comes from, if at all."""
    if name.startswith("_") or isinstance(value, ModuleType):
        return False
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return name in exported
    return str(getattr(value, "__module__", "")).partition(".")[0] in {module.__name__.partition(".")[0], "None"}
