"""Declaring workflows as Temporal's programs do: a class with one `@workflow.run`, and handlers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from memflow.signatures import hints_of, parameters_of
from memflow.temporal.common import VersioningBehavior
from memflow.temporal.workflow.old_ways import warn_of_old_ways
from memflow.temporal.workflow.words import HandlerUnfinishedPolicy

C = TypeVar("C", bound=type[Any])
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_DEFINITION = "__temporal_workflow_definition"
_RUN = "__temporal_workflow_run"
_INIT = "__temporal_workflow_init"
_HANDLER = "__temporal_handler_definition"
_CONFIG = "__temporal_dynamic_config"


@dataclass(frozen=True)
class DynamicWorkflowConfig:
    """What a dynamic workflow says of itself once it knows its type."""

    failure_exception_types: Sequence[type[BaseException]] | None = None
    versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED


@dataclass(eq=False)
class HandlerDefinition:
    """A method that answers signals, queries or updates. `name` None: of any name that has no handler of its own."""

    kind: str
    name: str | None
    fn: Callable[..., Any]
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON
    description: str | None = None
    is_method: bool = True
    validator: Callable[..., Any] | None = None

    @cached_property
    def takes_any(self) -> bool:
        """Whether it takes `*args`: values in place of raw ones, and of no declared types."""
        return any(each.kind is each.VAR_POSITIONAL for each in inspect.signature(self.fn).parameters.values())

    @cached_property
    def argument_types(self) -> tuple[Any, ...]:
        """The declared type of each parameter."""
        return () if self.takes_any else hints_of_function(self.fn, is_method=self.is_method)[0]

    @cached_property
    def ret_type(self) -> Any:
        """The declared type of the result."""
        if self.takes_any:
            return Any
        return hints_of_function(self.fn, is_method=self.is_method)[1]


@dataclass(eq=False)
class WorkflowDefinition:
    """A decorated class. `name` None: of any workflow type that has no class of its own."""

    name: str | None
    cls: type[Any]
    run_fn: Callable[..., Awaitable[Any]]
    handlers: Mapping[tuple[str, str | None], HandlerDefinition] = field(repr=False)
    sandboxed: bool = True
    failure_exception_types: Sequence[type[BaseException]] = ()
    versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED
    init_takes_arguments: bool = False
    dynamic_config: Callable[..., DynamicWorkflowConfig] | None = None

    @cached_property
    def argument_types(self) -> tuple[Any, ...]:
        """The declared type of each parameter of the run method."""
        return hints_of_function(self.run_fn, is_method=True)[0]

    @cached_property
    def ret_type(self) -> Any:
        """The declared type of its result."""
        return hints_of_function(self.run_fn, is_method=True)[1]

    @staticmethod
    def from_class(decorated: Any) -> WorkflowDefinition | None:
        """The definition of a decorated class; a subclass needs the decorator itself."""
        found = vars(decorated).get(_DEFINITION) if inspect.isclass(decorated) else None
        return found if isinstance(found, WorkflowDefinition) else None

    @staticmethod
    def must_from_class(decorated: Any) -> WorkflowDefinition:
        """The same.

        Raises:
            ValueError: the class is not decorated.
        """
        found = WorkflowDefinition.from_class(decorated)
        if found is None:
            name = getattr(decorated, "__qualname__", None) or repr(decorated)
            raise ValueError(f"Workflow {name} missing attributes, was it decorated with @workflow.defn?")
        return found

    @staticmethod
    def from_run_fn(fn: Any) -> WorkflowDefinition | None:
        """The definition of the class that a run method belongs to."""
        found = getattr(fn, _DEFINITION, None)
        return found if isinstance(found, WorkflowDefinition) else None

    @staticmethod
    def must_from_run_fn(fn: Any) -> WorkflowDefinition:
        """The same.

        Raises:
            ValueError: it is no run method of a decorated class.
        """
        found = WorkflowDefinition.from_run_fn(fn)
        if found is None:
            name = getattr(fn, "__qualname__", None) or repr(fn)
            raise ValueError(
                f"Function {name} missing attributes, was it decorated with @workflow.run and was its class decorated with"
                " @workflow.defn?"
            )
        return found


def hints_of_function(fn: Callable[..., Any], *, is_method: bool) -> tuple[tuple[Any, ...], Any]:
    """The declared types of a function's parameters and of its result; Any where none is declared.

    Raises:
        ConfigurationError: a hint names what cannot be found.
    """
    return hints_of(fn, parameters_of(fn, what="function", skip_self=is_method))


def name_and_result_type(target: Any) -> tuple[str, Any]:
    """The workflow type and the type of its result, of a name or a run method.

    Raises:
        TypeError: it is neither.
        ValueError: it is no run method, or that of a dynamic workflow.
    """
    if isinstance(target, str):
        return target, None
    if not callable(target):
        raise TypeError("Workflow must be a string or callable")
    found = WorkflowDefinition.must_from_run_fn(target)
    if found.name is None:
        raise ValueError("Cannot invoke dynamic workflow explicitly")
    return found.name, found.ret_type


# ------------------------------------------------------------------------------------------------- decorators


@overload
def defn(cls: C) -> C: ...
@overload
def defn(
    *,
    name: str | None = None,
    sandboxed: bool = True,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED,
) -> Callable[[C], C]: ...
@overload
def defn(
    *,
    sandboxed: bool = True,
    dynamic: bool = False,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED,
) -> Callable[[C], C]: ...
def defn(
    cls: Any = None,
    *,
    name: str | None = None,
    sandboxed: bool = True,
    dynamic: bool = False,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED,
) -> Any:
    """Declare a class to be a workflow.

    Raises:
        ValueError: it cannot be one; the message lists every reason.
        RuntimeError: both a name and `dynamic`.
    """
    if name is not None and dynamic:
        raise RuntimeError("Cannot provide name and dynamic boolean")

    def declare(found: type[Any]) -> type[Any]:
        made = _definition(
            found, None if dynamic else name or found.__name__, sandboxed, failure_exception_types, versioning_behavior
        )
        setattr(found, _DEFINITION, made)
        setattr(made.run_fn, _DEFINITION, made)
        return found

    return declare if cls is None else declare(cls)


def run(fn: F) -> F:
    """Mark the method that is the workflow.

    Raises:
        ValueError: it is not async, or its class is a local one.
    """
    if not inspect.iscoroutinefunction(fn):
        raise ValueError("Workflow run method must be an async function")
    # A class in a function cannot be named by other processes, nor found again when a history is replayed.
    if "<locals>" in fn.__qualname__:
        raise ValueError("Local classes unsupported, @workflow.run cannot be on a local class")
    setattr(fn, _RUN, True)
    return fn


def init(init_fn: F) -> F:
    """Mark an `__init__` that takes the arguments of the run.

    Raises:
        ValueError: it is another method.
    """
    if init_fn.__name__ != "__init__":
        raise ValueError("@workflow.init may only be used on the __init__ method")
    setattr(init_fn, _INIT, True)
    return init_fn


def dynamic_config(fn: F) -> F:
    """Mark the method of a dynamic workflow that says what it is like once it knows its type.

    Raises:
        ValueError: it is async.
    """
    if inspect.iscoroutinefunction(fn):
        raise ValueError("Workflow dynamic_config method must be synchronous")
    setattr(fn, _CONFIG, True)
    return fn


@overload
def signal(fn: F) -> F: ...
@overload
def signal(
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Callable[[F], F]: ...
def signal(
    fn: Any = None,
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Any:
    """Mark a method that answers a signal. A dynamic one takes (name, list of raw values) of every signal without a handler.

    Raises:
        RuntimeError: both a name and `dynamic`, or a dynamic method with other parameters.
    """
    return _mark("signal", fn, name, dynamic, unfinished_policy, description)


@overload
def query(fn: F) -> F: ...
@overload
def query(*, name: str | None = None, dynamic: bool | None = False, description: str | None = None) -> Callable[[F], F]: ...
def query(
    fn: Any = None, *, name: str | None = None, dynamic: bool | None = False, description: str | None = None
) -> Any:
    """Mark a method that answers a query. It may only look.

    Raises:
        RuntimeError: both a name and `dynamic`, or a dynamic method with other parameters.
    """
    return _mark("query", fn, name, dynamic, HandlerUnfinishedPolicy.WARN_AND_ABANDON, description)


class UpdateMethodMultiParam(Protocol[P, R_co]):
    """A method marked `@workflow.update`: the method itself, with one more decorator."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def validator(self, vfunc: Callable[P, None]) -> Callable[P, None]:
        """Mark the method that may reject an update before it is accepted."""
        ...


@overload
def update(fn: Callable[P, Awaitable[R]]) -> UpdateMethodMultiParam[P, R]: ...
@overload
def update(fn: Callable[P, R]) -> UpdateMethodMultiParam[P, R]: ...
@overload
def update(
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Callable[[Callable[P, R]], UpdateMethodMultiParam[P, R]]: ...
def update(
    fn: Any = None,
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Any:
    """Mark a method that answers an update: a request with a result. `@its_name.validator` marks the one that may reject it.

    Raises:
        RuntimeError: both a name and `dynamic`, or a dynamic method with other parameters.
    """
    return _mark("update", fn, name, dynamic, unfinished_policy, description)


def _mark(
    kind: str,
    fn: Any,
    name: str | None,
    dynamic: bool | None,
    unfinished_policy: HandlerUnfinishedPolicy,
    description: str | None,
) -> Any:
    if name is not None and dynamic:
        raise RuntimeError("Cannot provide name and dynamic boolean")

    def mark(found: Any) -> Any:
        if dynamic:
            check_dynamic(kind, found, is_method=True)
        warn_of_old_ways(kind, found, dynamic=bool(dynamic), level=3 if fn is None else 5)
        made = HandlerDefinition(kind, None if dynamic else name or found.__name__, found, unfinished_policy, description)
        setattr(found, _HANDLER, made)
        if kind == "update":
            found.validator = _validator_of(made)
        return found

    return mark if fn is None else mark(fn)


def _validator_of(update: HandlerDefinition) -> Callable[[Any], Any]:
    def validator(vfunc: Any) -> Any:
        if inspect.iscoroutinefunction(vfunc):
            raise RuntimeError(f"Update validator method {vfunc.__name__} must not be async")
        update.validator = vfunc
        return vfunc

    return validator


def check_dynamic(kind: str, fn: Callable[..., Any], *, is_method: bool) -> None:
    """A dynamic handler takes the name and the arguments as a sequence of raw values.

    Raises:
        RuntimeError: it does not.
    """
    listed = list(inspect.signature(fn).parameters.values())
    wanted = 3 if is_method else 2
    fits = len(listed) == wanted and all(each.kind is not each.KEYWORD_ONLY for each in listed)
    if not fits:
        taken = "self, str, and Sequence[RawValue]" if is_method else "str, and Sequence[RawValue]"
        raise RuntimeError(f"Dynamic handler must have {wanted} arguments: {taken}")


def handler_of(fn: Any, kind: str) -> HandlerDefinition | None:
    """What a decorated method says of itself."""
    found = getattr(fn, _HANDLER, None)
    return found if isinstance(found, HandlerDefinition) and found.kind == kind else None


def handler_name(target: Any, kind: str) -> tuple[str, Any]:
    """The name by which to address a handler and the type of its result, of a name or a decorated method.

    Raises:
        RuntimeError: it is neither, or a dynamic handler.
    """
    if isinstance(target, str):
        return target, None
    title = kind.capitalize()
    found = handler_of(target, kind)
    if found is None:
        label = getattr(target, "__qualname__", target)
        raise RuntimeError(f"{title} definition not found on {label}, is it decorated with @workflow.{kind}?")
    if found.name is None:
        raise RuntimeError(f"Cannot invoke dynamic {kind} definition")
    return found.name, found.ret_type


# ------------------------------------------------------------------------------------------------- a class


def _definition(
    cls: type[Any],
    name: str | None,
    sandboxed: bool,
    failure_exception_types: Sequence[type[BaseException]],
    versioning_behavior: VersioningBehavior,
) -> WorkflowDefinition:
    if not inspect.isclass(cast("object", cls)):
        raise TypeError("Invalid workflow class: @workflow.defn is for classes")
    if _DEFINITION in vars(cls):
        raise ValueError("Class already contains workflow definition")
    issues: list[str] = []
    run_fn = _run_of(cls, issues)
    handlers = _handlers_of(cls, issues)
    takes_arguments = _init_of(cls, run_fn, issues)
    config = next((fn for _, fn in inspect.getmembers(cls, inspect.isfunction) if hasattr(fn, _CONFIG)), None)
    if config is not None and name is not None:
        issues.append("@workflow.dynamic_config can only be used in dynamic workflows, but it is on a workflow with a name")
    if name is None and run_fn is not None and len(inspect.signature(run_fn).parameters) != 2:
        issues.append("Dynamic workflow run method must take one parameter: args: Sequence[RawValue]")
    if issues or run_fn is None:
        if len(issues) == 1:
            raise ValueError(f"Invalid workflow class: {issues[0]}")
        raise ValueError(f"Invalid workflow class for {len(issues)} reasons: {', '.join(issues)}")
    return WorkflowDefinition(
        name,
        cls,
        run_fn,
        handlers,
        sandboxed,
        tuple(failure_exception_types),
        versioning_behavior,
        takes_arguments,
        config,
    )


def _run_of(cls: type[Any], issues: list[str]) -> Callable[..., Awaitable[Any]] | None:
    own = [fn for fn in vars(cls).values() if hasattr(fn, _RUN)]
    if len(own) > 1:
        issues.append(
            f"Multiple @workflow.run methods found (at least on {own[1].__name__} and {own[0].__name__})"
        )
        return None
    if own:
        return cast("Callable[..., Awaitable[Any]]", own[0])
    for base in cls.__mro__[1:]:
        for attribute, fn in vars(base).items():
            if not hasattr(fn, _RUN):
                continue
            if attribute in vars(cls):
                issues.append(
                    f"@workflow.run defined on {fn.__qualname__} but not on the override {vars(cls)[attribute].__qualname__}"
                )
            else:
                issues.append(f"@workflow.run method {attribute} must be defined on {cls.__qualname__}")
            return None
    issues.append("Missing @workflow.run method")
    return None


def _handlers_of(cls: type[Any], issues: list[str]) -> dict[tuple[str, str | None], HandlerDefinition]:
    found: dict[tuple[str, str | None], HandlerDefinition] = {}
    for attribute in dir(cls):
        fn = inspect.getattr_static(cls, attribute, None)
        mark = getattr(fn, _HANDLER, None)
        bases = [
            (base, of)
            for base in cls.__mro__[1:]
            if isinstance(of := getattr(vars(base).get(attribute), _HANDLER, None), HandlerDefinition)
        ]
        if not isinstance(mark, HandlerDefinition):
            if bases and inspect.isfunction(fn):
                issues.append(
                    f"@workflow.{bases[0][1].kind} defined on {bases[0][1].fn.__qualname__} but not on the override"
                    f" {fn.__qualname__}"
                )
            continue
        key = mark.kind, mark.name
        if key in found:
            known = "<dynamic>" if mark.name is None else mark.name
            issues.append(
                f"Multiple {mark.kind} methods found for {known} (at least on {attribute} and {found[key].fn.__name__})"
            )
            continue
        if mark.validator is not None and not _same_but_for_names(mark.validator, mark.fn):
            issues.append(
                f"Update validator method {mark.validator.__name__} parameters do not match update method"
                f" {mark.fn.__name__} parameters"
            )
            continue
        found[key] = mark
    return found


def _init_of(cls: type[Any], run_fn: Callable[..., Any] | None, issues: list[str]) -> bool:
    constructor: Any = vars(cls).get("__init__")
    if constructor is None or not hasattr(constructor, _INIT):
        inherited: Any = cls.__init__
        if inherited is not object.__init__:
            needed = [
                each
                for each in list(inspect.signature(inherited).parameters.values())[1:]
                if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
            ]
            if needed and not hasattr(inherited, _INIT):
                issues.append("__init__ takes parameters but is not decorated with @workflow.init")
        return hasattr(inherited, _INIT)
    if run_fn is not None and not _same_but_for_names(constructor, run_fn):
        issues.append("@workflow.init and @workflow.run method parameters do not match")
    return True


def _same_but_for_names(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether both take the same: kinds, defaults and annotations, in this order. Either may ignore what the other names."""
    def taken(fn: Callable[..., Any]) -> list[Any]:
        return [(each.kind, each.default, each.annotation) for each in inspect.signature(fn).parameters.values()]

    return taken(one) == taken(other)
