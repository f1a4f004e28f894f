"""Declaring workflows: a function, or a class with one `@workflow.run`. A decorator describes; nothing is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast, overload

from memflow.core.definition import Definition
from memflow.errors import ConfigurationError, FailureError
from memflow.names import check_name
from memflow.options import VersioningBehavior, versioning_of
from memflow.signatures import hints_of, local_names, name_of, parameters_of
from memflow.workflow.handlers import check_handlers, handlers_of

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])
C = TypeVar("C", bound=type[Any])
I = TypeVar("I", bound=Callable[..., None])  # noqa: E741 - an __init__

_DECLARED = "__memflow_workflow__"
_RUN = "__memflow_run__"
_INIT = "__memflow_init__"


@dataclass(slots=True)
class _Declared:
    """What a decorator has noted. The definition is built when first asked for: by then the module is complete."""

    name: str
    target: Any
    fails_on: tuple[type[BaseException], ...]
    known_names: Mapping[str, Any] | None
    versioning: str | None = None
    definition: Definition | None = None


class _Defn(Protocol):
    @overload
    def __call__(self, target: C, /) -> C: ...
    @overload
    def __call__(self, target: F, /) -> F: ...


@overload
def defn(target: C, /) -> C: ...
@overload
def defn(target: F, /) -> F: ...
@overload
def defn(
    *,
    name: str | None = None,
    failure_exception_types: Sequence[type[BaseException]] = (),
    versioning_behavior: VersioningBehavior | str | None = None,
) -> _Defn: ...
def defn(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    failure_exception_types: Sequence[type[BaseException]] = (),
    versioning_behavior: VersioningBehavior | str | None = None,
) -> Any:
    """Declare a workflow: an async function, or a class with one async method marked `@workflow.run`.

    `name` is what clients and workers call it, by default the name in the code. Any exception that leaves a function ends
    its run as failed. For a class only errors meant so do (`ApplicationError`, `ActivityError`, ...), and those listed in
    `failure_exception_types`; every other exception is a bug: the run waits for fixed code. `versioning_behavior` says whether
    a run stays with the version of the worker that began it (`pinned`) or goes on with whichever is the newest
    (`auto_upgrade`); None leaves that to the worker.

    Raises:
        ConfigurationError: it cannot be a workflow; the message says why.
    """

    versioning = None if versioning_behavior is None else versioning_of(versioning_behavior, what="versioning_behavior").value

    def declare(found: Any) -> Any:
        known = local_names(found, depth=3)
        fails_on = _exceptions(failure_exception_types, found)
        if not isinstance(found, type):
            noted = _function(found, name, known)
        else:
            noted = _class(found, name, fails_on, known)
        noted.versioning = versioning
        setattr(cast("object", found), _DECLARED, noted)
        if isinstance(found, type):
            setattr(_run_of(found), _DECLARED, noted)
        return found

    return declare if target is None else declare(target)


def run(fn: F) -> F:
    """Mark the method of a workflow class that is the workflow.

    Raises:
        ConfigurationError: it is not async.
    """
    if not inspect.iscoroutinefunction(fn):
        raise ConfigurationError(f"@workflow.run {name_of(fn)}: a workflow is async; write `async def`")
    setattr(fn, _RUN, True)
    return fn


def init(fn: I) -> I:
    """Mark an `__init__` that takes the arguments of the run.

    Raises:
        ConfigurationError: it is another method.
    """
    if getattr(fn, "__name__", None) != "__init__":
        raise ConfigurationError(f"@workflow.init {name_of(fn)}: it belongs on __init__")
    setattr(fn, _INIT, True)
    return fn


def is_workflow(value: object) -> bool:
    """Whether `value` is a decorated function or class (a subclass of one is not, until it is decorated itself)."""
    if isinstance(value, type):
        return _DECLARED in vars(value)
    return inspect.isfunction(value) and hasattr(value, _DECLARED) and not hasattr(value, _RUN)


def definition_of(value: object) -> Definition:
    """The definition of a decorated function or class, or of a class' `run` method.

    Raises:
        ConfigurationError: it is no workflow, or its type hints cannot be resolved.
    """
    if isinstance(value, Definition):
        return value
    noted = vars(value).get(_DECLARED) if isinstance(value, type) else getattr(value, _DECLARED, None)
    if not isinstance(noted, _Declared):
        shown = name_of(value) if callable(value) else repr(value)
        raise ConfigurationError(f"{shown} is no workflow; decorate it with @workflow.defn")
    if noted.definition is None:
        noted.definition = _build(noted)
    return noted.definition


def _function(found: Any, name: str | None, known: Mapping[str, Any] | None) -> _Declared:
    if not callable(found):
        raise ConfigurationError(f"@workflow.defn is for functions and classes, this is {found!r}")
    label = name_of(found)
    if label == "<lambda>":
        raise ConfigurationError("a lambda cannot be a workflow: it has no name that other processes know; use `async def`")
    if not inspect.iscoroutinefunction(found):
        raise ConfigurationError(f"workflow {label}: a workflow is async; write `async def {label}`")
    parameters_of(found, what="workflow", skip_self=False)
    return _Declared(check_name(name or found.__name__, what="workflow name"), found, (Exception,), known)


def _class(
    found: type[Any], name: str | None, fails_on: tuple[type[BaseException], ...], known: Mapping[str, Any] | None
) -> _Declared:
    label = name_of(found)
    method = _run_of(found)
    check_handlers(found)
    arguments = parameters_of(method, what="workflow", skip_self=True)
    constructor: Any = found.__init__
    if getattr(constructor, _INIT, False):
        taken = parameters_of(constructor, what="workflow", skip_self=True)
        if (taken.names, taken.required) != (arguments.names, arguments.required):
            raise ConfigurationError(
                f"workflow {label}: @workflow.init takes ({', '.join(taken.names)}), its run ({', '.join(arguments.names)});"
                " they must be the same"
            )
    elif constructor is not object.__init__ and parameters_of(constructor, what="workflow", skip_self=True).required:
        raise ConfigurationError(f"workflow {label}: its __init__ needs arguments; mark it @workflow.init to get the run's")
    return _Declared(check_name(name or found.__name__, what="workflow name"), found, (FailureError, *fails_on), known)


def _run_of(found: type[Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    marked = [value for value in vars(found).values() if getattr(value, _RUN, False)]
    if len(marked) != 1:
        count = "none" if not marked else f"{len(marked)}"
        raise ConfigurationError(
            f"workflow {name_of(found)}: exactly one method of the class itself is marked @workflow.run, here {count} is"
        )
    method: Callable[..., Coroutine[Any, Any, Any]] = marked[0]
    return method


def _exceptions(types: Sequence[type[BaseException]], found: Any) -> tuple[type[BaseException], ...]:
    for one in cast("Sequence[object]", types):
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise ConfigurationError(f"workflow {name_of(found)}: failure_exception_types: {one!r} is no exception class")
    return tuple(types)


def _build(noted: _Declared) -> Definition:
    target = noted.target
    is_class = isinstance(target, type)
    method: Callable[..., Coroutine[Any, Any, Any]] = _run_of(target) if is_class else target
    parameters = parameters_of(method, what="workflow", skip_self=is_class)
    argument_types, result_type = hints_of(method, parameters, noted.known_names)
    return Definition(
        name=noted.name,
        run=method,
        argument_types=argument_types,
        required_arguments=parameters.required,
        result_type=result_type,
        fails_on=noted.fails_on,
        make=_maker(target) if is_class else None,
        handlers=handlers_of(target, noted.known_names) if is_class else (),
        versioning=noted.versioning,
    )


def _maker(target: type[Any]) -> Callable[..., Any]:
    takes_arguments = bool(getattr(cast("Any", target).__init__, _INIT, False))
    return target if takes_arguments else lambda *arguments: target()
