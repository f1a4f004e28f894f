"""What this worker can run: names to definitions. Nothing global, nothing imported by a stored name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeVar

from memflow.activity import ActivityDefinition, activity_definition_of
from memflow.core.definition import Definition
from memflow.errors import ConfigurationError
from memflow.interceptors import WorkerInterceptor
from memflow.workflow.define import definition_of, is_workflow
from memflow.workflow.intercepting import intercepted

T = TypeVar("T", Definition, ActivityDefinition)


class Registry:
    """The workflows and activities of one worker, by name.

    Raises:
        ConfigurationError: something listed is neither, or two of them claim one name.
    """

    def __init__(self, workflows: Iterable[Any], activities: Iterable[Any]) -> None:
        self.workflows: dict[str, Definition] = {}
        self.activities: dict[str, ActivityDefinition] = {}
        for listed in workflows:
            for found in _workflows_of(listed):
                _add(self.workflows, found, found.name, "workflow")
        for listed in activities:
            for activity in _activities_of(listed):
                _add(self.activities, activity, activity.name, "activity")

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
