"""What this worker can run: names to definitions. Nothing global, nothing imported by a stored name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, TypeVar

from memflow.activity import ActivityDefinition, activity_definition_of
from memflow.core.definition import Definition, Hook
from memflow.errors import ConfigurationError
from memflow.interceptors import WorkerInterceptor
from memflow.workflow import standalone
from memflow.workflow.define import definition_of, is_workflow
from memflow.workflow.hooks import hook_of, hook_of_definition
from memflow.workflow.intercepting import intercepted

T = TypeVar("T", Definition, ActivityDefinition, Hook)

ANY = "*"
"""The name of a workflow that runs every type which has no definition of its own here."""


class Registry:
    """The workflows and activities of one worker, by name, and what may run as a hook in those workflows.

    Raises:
        ConfigurationError: something listed is neither, or two of them claim one name.
    """

    def __init__(self, workflows: Iterable[Any], activities: Iterable[Any], hooks: Iterable[Any] = ()) -> None:
        self.workflows: dict[str, Definition] = {}
        self.hooks: dict[str, Hook] = {}
        self.activities: dict[str, ActivityDefinition] = {}
        self._standalone: dict[str, Definition] = {}
        self.dynamic_activity: ActivityDefinition | None = None
        for listed in workflows:
            for found in _workflows_of(listed):
                _add(self.workflows, found, found.name, "workflow")
        for listed in activities:
            for activity in _activities_of(listed):
                if activity.dynamic:
                    if self.dynamic_activity not in (None, activity):
                        raise ConfigurationError("two dynamic activities are listed; a worker can have one")
                    self.dynamic_activity = activity
                else:
                    _add(self.activities, activity, activity.name, "activity")
        for workflow in self.workflows.values():
            hook = hook_of_definition(workflow)
            if hook is not None:
                self.hooks[hook.name] = hook
        for listed in hooks:
            for hook in _hooks_of(listed):
                _add(self.hooks, hook, hook.name, "hook")
        self.workflows = {name: replace(found, hooks=self.hooks) for name, found in self.workflows.items()}

    def activity(self, name: str) -> ActivityDefinition | None:
        """What runs the activity of that name here."""
        return self.activities.get(name, self.dynamic_activity)

    def workflow(self, name: str) -> Definition | None:
        """What runs the workflow of that type here, also one that is nothing but an activity which a client started."""
        known = self.workflows.get(name)
        if known is not None:
            return known
        activity = standalone.activity_of(name)
        if activity is None:
            return self.workflows.get(ANY)
        if self.activity(activity) is None:
            return None
        found = self._standalone.get(activity)
        if found is None:
            found = self._standalone[activity] = standalone.definition(activity)
        return found

    @property
    def has_activities(self) -> bool:
        """Whether it has any."""
        return bool(self.activities) or self.dynamic_activity is not None

    def intercept(self, interceptors: Sequence[WorkerInterceptor]) -> None:
        """Put interceptors around every workflow."""
        self.workflows = {name: intercepted(each, interceptors) for name, each in self.workflows.items()}

    @property
    def types(self) -> list[str]:
        """Every name this worker knows, as it tells the database."""
        return [f"workflow:{name}" for name in self.workflows] + [f"activity:{name}" for name in self.activities]


def _add(table: dict[str, T], found: T, name: str, what: str) -> None:
    known = table.get(name)
    if known is not None and known != found:
        raise ConfigurationError(f"two {what} definitions are named {name!r}; give one of them another name= in its decorator")
    table[name] = found


def _workflows_of(listed: Any) -> Iterator[Definition]:
    if isinstance(listed, ModuleType):
        yield from (definition_of(value) for value in _members(listed, is_workflow))
    else:
        yield definition_of(listed)


def _hooks_of(listed: Any) -> Iterator[Hook]:
    if isinstance(listed, ModuleType):
        yield from (hook_of(value) for value in _members(listed, is_workflow) if not isinstance(value, type))
    else:
        yield hook_of(listed)


def _activities_of(listed: Any) -> Iterator[ActivityDefinition]:
    if isinstance(listed, ModuleType):
        yield from (_known(value) for value in _members(listed, _is_activity))
        return
    one = activity_definition_of(listed)
    if one is not None:
        yield one
        return
    if isinstance(listed, type):
        raise ConfigurationError(
            f"activities={listed.__name__}: a class needs an instance to run its methods on; list {listed.__name__}(...)"
        )
    instance: object = listed
    names = [name for name in dir(type(instance)) if not name.startswith("__")]
    methods = [found for name in names if (found := activity_definition_of(getattr(instance, name, None))) is not None]
    if not methods:
        raise ConfigurationError(
            f"activities={listed!r}: neither a function with @activity.defn, nor a module or instance that holds some"
        )
    yield from methods


def _is_activity(value: object) -> bool:
    return activity_definition_of(value) is not None


def _known(value: Any) -> ActivityDefinition:
    found = activity_definition_of(value)
    if found is None:
        raise ConfigurationError(f"{value!r} is no activity; decorate it with @activity.defn")
    return found


def _members(module: ModuleType, wanted: Callable[[Any], bool]) -> Iterator[Any]:
    seen: set[int] = set()
    for name, value in vars(module).items():
        if not name.startswith("_") and id(value) not in seen and wanted(value):
            seen.add(id(value))
            yield value
