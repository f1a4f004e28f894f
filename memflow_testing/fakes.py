"""Fakes in place of activities, and a record of which activities were called with what.

A fake runs under the name, options and types of the activity that it stands for, so workflow code notices nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

from memflow.activity import Activity, ActivityDefinition
from memflow.attempts import activity_context
from memflow.errors import ConfigurationError
from memflow.worker.jobs import Errand
from memflow.worker.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

Fake = Callable[P, Awaitable[R]] | Callable[P, R]
"""What may stand for an activity: a function with its parameters and result, async or not."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A fake for an activity, checked by type; made by `replacing`."""

    real: Any
    fake: Any


def replacing(real: Activity[P, R], fake: Fake[P, R]) -> Replacement:
    """One fake for one activity: `replace=[replacing(charge, fake_charge), replacing(ship, fake_ship)]`.

    The same as an entry of a dict; type checkers can hold each against its activity, which they cannot for the entries of
    one dict when signatures differ.
    """
    return Replacement(real, fake)


@dataclass(frozen=True, slots=True)
class Call:
    """An activity that a workflow called. Attempts of one call are one `Call`."""

    workflow_id: str
    run_id: str
    activity: str
    activity_id: str
    arguments: tuple[Any, ...]


def prepared(
    activities: Sequence[Any], replace: Mapping[Any, Any] | Sequence[Replacement], calls: dict[tuple[str, str], Call]
) -> list[Activity[..., Any]]:
    """The activities of a worker, with fakes in their place, each noting its calls in `calls`.

    Raises:
        ConfigurationError: what is to be replaced is not registered, or the fake does not fit.
    """
    registry = Registry((), activities)
    known = registry.activities
    pairs = list(replace.items()) if isinstance(replace, Mapping) else [(each.real, each.fake) for each in replace]
    for real, fake in pairs:
        definition = _registered(real, known)
        known[definition.name] = _faked(definition, fake)
    dynamic = () if registry.dynamic_activity is None else (registry.dynamic_activity,)
    return [_Ready(_noting(definition, calls)) for definition in (*known.values(), *dynamic)]


def _registered(real: Any, known: Mapping[str, ActivityDefinition]) -> ActivityDefinition:
    if not isinstance(real, Activity):
        raise ConfigurationError(f"replace: {real!r} is no activity; the keys are activities, the values what runs instead")
    activity = cast("Activity[..., Any]", real)
    found = known.get(activity.name)
    if found is None:
        near = get_close_matches(activity.name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigurationError(
            f"replace: activity {activity.name!r} is not registered on this worker; {hint}"
            f"list it in activities=[...] (registered: {', '.join(sorted(known)) or 'none'})"
        )
    if _plain(found.run) is not _plain(activity.fn):
        raise ConfigurationError(
            f"replace: another activity named {activity.name!r} is registered on this worker; replace that one, or list this one"
        )
    return found


def _faked(definition: ActivityDefinition, fake: Any) -> ActivityDefinition:
    function: Any = fake.fn if isinstance(fake, Activity) else fake
    if not callable(function):
        raise ConfigurationError(f"replace: {fake!r} cannot stand for activity {definition.name!r}; give a function")
    _check(definition, function)
    is_async = inspect.iscoroutinefunction(function)
    return dataclasses.replace(
        definition, run=function, is_async=is_async, transactional=definition.transactional and is_async
    )


def _check(definition: ActivityDefinition, fake: Callable[..., Any]) -> None:
    """Refuse a fake that could not be called as the activity is, or that declares other types."""
    shown = f"replace: {getattr(fake, '__name__', repr(fake))} cannot stand for activity {definition.name!r}"
    try:
        signature = inspect.signature(fake)
    except (TypeError, ValueError):                      # built in: Python cannot tell
        return
    for count in {definition.required_arguments, len(definition.argument_types)}:
        try:
            signature.bind(*[None] * count)
        except TypeError as error:
            raise ConfigurationError(f"{shown}: it is called with {count} arguments: {error}") from None
    try:
        hints = get_type_hints(fake)
    except Exception:                                    # whatever a hint may hold; undeclared is allowed, too
        return
    named = [each.name for each in signature.parameters.values() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    for name, wanted in zip(named, definition.argument_types, strict=False):
        if _differ(hints.get(name, Any), wanted):
            raise ConfigurationError(f"{shown}: {name} is {_named(hints[name])} there, and {_named(wanted)} in the activity")
    result = hints.get("return", Any)
    if _differ(result, definition.result_type):
        raise ConfigurationError(f"{shown}: it returns {_named(result)}, the activity {_named(definition.result_type)}")


def _differ(one: Any, other: Any) -> bool:
    return Any not in (one, other) and one != other


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _plain(function: Any) -> Any:
    return getattr(function, "__func__", function)


def _noting(definition: ActivityDefinition, calls: dict[tuple[str, str], Call]) -> ActivityDefinition:
    run = definition.run

    def note(arguments: tuple[Any, ...]) -> None:
        # Not `info()`: that reads the details of heartbeats, which is for the activity to do.
        errand = cast("Errand", cast("Any", activity_context.get()).errand)
        id = errand.options.activity_id or str(errand.op)
        calls.setdefault((errand.run_id, id), Call(errand.workflow_id, errand.run_id, errand.name, id, arguments))

    async def call(*arguments: Any) -> Any:
        note(arguments)
        return await run(*arguments)

    def call_in_thread(*arguments: Any) -> Any:
        note(arguments)
        return run(*arguments)

    return dataclasses.replace(definition, run=call if definition.is_async else call_in_thread)


class _Ready(Activity[..., Any]):
    """A definition, as something that a worker takes."""

    def __init__(self, definition: ActivityDefinition) -> None:
        self._definition = definition

    def definition(self) -> ActivityDefinition:
        return self._definition

    def __repr__(self) -> str:
        return f"<activity {self._definition.name}>"
