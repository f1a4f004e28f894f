"""Which names a sandbox keeps workflow code from: a tree of matchers, one level for each part of a dotted name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol


class Moment(Protocol):
    """When something is looked at."""

    @property
    def is_runtime(self) -> bool:
        """Whether the workflow runs, and is not just being imported."""
        ...


class AtRuntime:
    """While a workflow runs: the only time at which anything is looked at here, for modules are not imported anew."""

    is_runtime: bool = True


@dataclass(frozen=True)
class SandboxMatcher:
    """Names that are restricted, and what lies below them. `"*"` stands for every name.

    Raises:
        ValueError: a message or a warning is given, and `match_self` is not.
    """

    access: AbstractSet[str] = frozenset()
    """Not even to be looked at."""
    use: AbstractSet[str] = frozenset()
    """To be looked at and passed on, but not called, and nothing below them looked at."""
    children: Mapping[str, SandboxMatcher] = field(default_factory=dict[str, "SandboxMatcher"])
    match_self: bool = False
    """Whether the name that led here is restricted, and all below it."""
    only_runtime: bool = False
    """Restricted while workflows run, free while their modules are imported."""
    leaf_message: str | None = None
    """What is said instead of the usual message."""
    leaf_warning: type[Warning] | None = None
    """Warn with this, and go on."""
    exclude: AbstractSet[str] = frozenset()
    """Free, whatever else is said of them."""
    all: ClassVar[SandboxMatcher]
    all_runtime: ClassVar[SandboxMatcher]
    none: ClassVar[SandboxMatcher]
    all_uses: ClassVar[SandboxMatcher]
    all_uses_runtime: ClassVar[SandboxMatcher]

    def __post_init__(self) -> None:
        if not self.match_self:
            if self.leaf_message:
                raise ValueError("Cannot set leaf_message without match_self")
            if self.leaf_warning:
                raise ValueError("Cannot set leaf_warning without match_self")

    @classmethod
    def nested_child(cls, path: Sequence[str], child: SandboxMatcher) -> SandboxMatcher:
        """A matcher for what lies at a path."""
        made = child
        for name in reversed(path):
            made = cls(children={name: made})
        return made

    def access_matcher(self, context: Moment, *child_path: str, include_use: bool = False) -> SandboxMatcher | None:
        """By which looking at `child_path` is restricted; with `include_use`, by which using it is. None: it is free."""
        matcher = self
        for name in child_path:
            if name in matcher.exclude or not matcher._counts(context):
                return None
            if matcher.match_self or _holds(matcher.access, name) or (include_use and _holds(matcher.use, name)):
                return matcher
            below = matcher._below(name)
            if below is None:
                return None
            matcher = below
        return matcher if matcher.match_self and matcher._counts(context) else None

    def match_access(self, context: Moment, *child_path: str, include_use: bool = False) -> bool:
        """Whether looking at `child_path` is restricted; with `include_use`, whether using it is."""
        return self.access_matcher(context, *child_path, include_use=include_use) is not None

    def child_matcher(self, *child_path: str) -> SandboxMatcher | None:
        """What holds for the members of what lies at `child_path`; None: they are free."""
        matcher, only_runtime = self, self.only_runtime
        for name in child_path:
            if name in matcher.exclude:
                return None
            if matcher.match_self or _holds(matcher.access, name) or _holds(matcher.use, name):
                return SandboxMatcher.all_runtime if only_runtime else SandboxMatcher.all
            below = matcher._below(name)
            if below is None:
                return None
            matcher = below
            only_runtime = only_runtime or matcher.only_runtime
        return matcher

    def with_child_unrestricted(self, *child_path: str) -> SandboxMatcher:
        """The same without the restriction at that path. Where there is none, the same."""
        name, *rest = child_path
        if rest:
            below = self.children.get(name)
            if below is None:
                return self
            return replace(self, children={**self.children, name: below.with_child_unrestricted(*rest)})
        changed: dict[str, Any] = {}
        if name in self.access:
            changed["access"] = self.access - {name}
        if name in self.use:
            changed["use"] = self.use - {name}
        if name in self.children:
            changed["children"] = {key: child for key, child in self.children.items() if key != name}
        return replace(self, **changed) if changed else self

    def __or__(self, other: SandboxMatcher) -> SandboxMatcher:
        """What either restricts.

        Raises:
            ValueError: they say different things of when, with which message, or whether to warn.
        """
        if self.only_runtime != other.only_runtime:
            raise ValueError("Cannot combine only-runtime and non-only-runtime")
        if self.leaf_message != other.leaf_message:
            raise ValueError("Cannot combine different messages")
        if self.leaf_warning != other.leaf_warning:
            raise ValueError("Cannot combine different warning values")
        if self.match_self or other.match_self:
            return SandboxMatcher.all
        children = dict(self.children)
        for name, child in other.children.items():
            children[name] = children[name] | child if name in children else child
        return SandboxMatcher(
            access=self.access | other.access,
            use=self.use | other.use,
            children=children,
            only_runtime=self.only_runtime,
            leaf_message=self.leaf_message,
            leaf_warning=self.leaf_warning,
        )

    def _below(self, name: str) -> SandboxMatcher | None:
        return self.children.get(name) or self.children.get("*")

    def _counts(self, context: Moment) -> bool:
        return context.is_runtime or not self.only_runtime


def _holds(names: AbstractSet[str], name: str) -> bool:
    return name in names or "*" in names


SandboxMatcher.all = SandboxMatcher(match_self=True)
SandboxMatcher.all_runtime = SandboxMatcher(match_self=True, only_runtime=True)
SandboxMatcher.none = SandboxMatcher()
SandboxMatcher.all_uses = SandboxMatcher(use={"*"})
SandboxMatcher.all_uses_runtime = SandboxMatcher(use={"*"}, only_runtime=True)
