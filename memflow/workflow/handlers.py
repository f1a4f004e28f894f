"""What a run answers: handlers of signals, queries and updates, declared on a class or set at run time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from memflow.core import context
from memflow.core.definition import Handler
from memflow.core.handlers import CURRENT_UPDATE, UpdateInfo
from memflow.errors import ConfigurationError
from memflow.names import check_name
from memflow.options import HandlerUnfinishedPolicy
from memflow.signatures import Parameters, hints_of, local_names, name_of, parameters_of

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Q = TypeVar("Q", bound=Callable[..., Any])

_MARK = "__memflow_handler__"
_OPTIONS = {
    "signal": ("name", "dynamic", "unfinished_policy", "description"),
    "query": ("name", "dynamic", "description"),
    "update": ("name", "dynamic", "unfinished_policy", "description"),
}


@dataclass(slots=True)
class _Marked:
    kind: str
    name: str | None
    silent: bool
    description: str | None
    validator: Callable[..., Any] | None = None


class UpdateMethod(Protocol[S, P, R_co]):
    """A method marked `@workflow.update`: the method itself, with one more decorator."""

    def __call__(self, instance: S, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> UpdateMethod[S, P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None, /) -> Callable[P, R_co]: ...

    def validator(self, fn: Callable[Concatenate[S, P], None], /) -> Callable[Concatenate[S, P], None]:
        """Mark the method that looks at an update before it is accepted. What it raises rejects the update; it may only
        look, and is not asked again when the run is replayed."""
        ...


# ------------------------------------------------------------------------------------------------- declaring


@overload
def query(fn: Q, /) -> Q: ...
@overload
def query(*, name: str | None = None, dynamic: bool = False, description: str | None = None) -> Callable[[Q], Q]: ...
def query(fn: Any = None, /, **options: Any) -> Any:
    """Mark a method of a workflow class that answers a query. It may only look: a durable verb in it raises `ReadOnlyError`.

    It answers at any time, also after the end of the run, and leaves no trace. With `dynamic` it takes (name, list of
    arguments) of every query that has no handler.

    Raises:
        ConfigurationError: the method cannot be a handler.
    """
    check_options("query", options)
    return declare("query", fn, **options)


class _Update(Protocol):
    def __call__(self, fn: Callable[Concatenate[S, P], R], /) -> UpdateMethod[S, P, R]: ...


@overload
def update(fn: Callable[Concatenate[S, P], R], /) -> UpdateMethod[S, P, R]: ...
@overload
def update(
    *,
    name: str | None = None,
    dynamic: bool = False,
    unfinished_policy: HandlerUnfinishedPolicy | str = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> _Update: ...
def update(fn: Any = None, /, **options: Any) -> Any:
    """Mark a method of a workflow class, async or not, that answers an update: a request with a result, once per update id.

    It may do whatever a workflow may. An error that would fail the run fails the update instead; any other is a bug, and the
    run waits for fixed code. `@its_name.validator` marks a method that may reject the request before anything happens.

    Raises:
        ConfigurationError: the method cannot be a handler.
    """
    check_options("update", options)
    return declare("update", fn, **options)


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what is no option of `@workflow.KIND`.

    Raises:
        TypeError: names it, and those there are.
    """
    unknown = [name for name in options if name not in _OPTIONS[kind]]
    if unknown:
        raise TypeError(f"@workflow.{kind} has no option {', '.join(unknown)}; options are {', '.join(_OPTIONS[kind])}")


def declare(
    kind: str,
    fn: Any,
    *,
    name: str | None = None,
    dynamic: bool = False,
    unfinished_policy: HandlerUnfinishedPolicy | str = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Any:
    """Mark a function as a handler, or give the decorator that does when `fn` is None."""
    if name is not None and dynamic:
        raise ConfigurationError(f"@workflow.{kind}: a dynamic handler answers every name; leave out name={name!r}")
    silent = _policy(unfinished_policy) is HandlerUnfinishedPolicy.ABANDON

    def mark(found: Any) -> Any:
        if not inspect.isfunction(found):
            raise ConfigurationError(f"@workflow.{kind} is for methods, this is {found!r}")
        named = None if dynamic else check_name(name or found.__name__, what=f"{kind} name")
        _parameters(kind, found, dynamic=dynamic, skip_self=True)
        marked = _Marked(kind, named, silent, description)
        setattr(found, _MARK, marked)
        if kind == "update":
            cast("Any", found).validator = _validator_of(found, marked)
        return found

    return mark if fn is None else mark(fn)


def _validator_of(fn: Callable[..., Any], marked: _Marked) -> Callable[[Any], Any]:
    def validator(check: Any) -> Any:
        label = name_of(check) if callable(check) else repr(check)
        if inspect.iscoroutinefunction(check):
            raise ConfigurationError(f"validator {label}: it may only look, so it is not async; write `def`")
        if inspect.signature(check).parameters.keys() != inspect.signature(fn).parameters.keys():
            taken, wanted = (", ".join(inspect.signature(each).parameters) for each in (check, fn))
            raise ConfigurationError(f"validator {label} takes ({taken}), its update ({wanted}); they must be the same")
        marked.validator = check
        return check

    return validator


def _policy(policy: object) -> HandlerUnfinishedPolicy:
    try:
        return HandlerUnfinishedPolicy(cast("str", policy))
    except ValueError:
        allowed = ", ".join(HandlerUnfinishedPolicy)
        raise ConfigurationError(f"unfinished_policy: {policy!r} is not one of {allowed}") from None


def _parameters(kind: str, fn: Callable[..., Any], *, dynamic: bool, skip_self: bool) -> Parameters:
    parameters = parameters_of(fn, what=kind, skip_self=skip_self)
    if dynamic and len(parameters.names) != 2:
        raise ConfigurationError(
            f"{kind} {parameters.function}: a dynamic handler takes (name: str, arguments: list[Any]),"
            f" this one ({', '.join(parameters.names)})"
        )
    return parameters


# ------------------------------------------------------------------------------------------------- reading a class


def check_handlers(found: type[Any]) -> None:
    """Look at the handlers of a class, its own and inherited.

    Raises:
        ConfigurationError: two answer to one name, or an override lost or changed its mark; the message lists all of it.
    """
    problems: list[str] = []
    names: dict[tuple[str, str | None], str] = {}
    for attribute, fn, marked in _marked(found):
        bases = [mark for base in found.__mro__ if (mark := _mark_of(vars(base).get(attribute))) is not None]
        if marked is None:
            problems.append(
                f"{attribute} overrides a @workflow.{bases[0].kind} without being marked itself; add the decorator to it"
            )
            continue
        if any((mark.kind, mark.name) != (marked.kind, marked.name) for mark in bases):
            problems.append(f"{attribute} overrides a handler of another kind or name; mark it as its base is")
        key = marked.kind, marked.name
        if key in names:
            answered = "the dynamic one" if marked.name is None else repr(marked.name)
            problems.append(f"{attribute} and {names[key]} are both {marked.kind} handlers for {answered}")
        names[key] = attribute
        if fn is None:
            problems.append(f"{attribute} is no function")
    if problems:
        reasons = "1 reason" if len(problems) == 1 else f"{len(problems)} reasons"
        raise ConfigurationError(f"workflow {name_of(found)} cannot be a workflow for {reasons}: {'; '.join(problems)}")


def handlers_of(found: type[Any], known: Mapping[str, Any] | None) -> tuple[Handler, ...]:
    """The handlers of a class, its own and inherited, with their types.

    Raises:
        ConfigurationError: a type hint cannot be resolved.
    """
    return tuple(
        _handler(marked, fn, known, skip_self=True)
        for _, fn, marked in _marked(found)
        if marked is not None and fn is not None
    )


def _handler(marked: _Marked, fn: Callable[..., Any], known: Mapping[str, Any] | None, *, skip_self: bool) -> Handler:
    parameters = _parameters(marked.kind, fn, dynamic=marked.name is None, skip_self=skip_self)
    types, result = hints_of(fn, parameters, known)
    return Handler(
        marked.kind, marked.name, fn, types, parameters.required, result, marked.validator, marked.silent, marked.description
    )


def _marked(found: type[Any]) -> list[tuple[str, Callable[..., Any] | None, _Marked | None]]:
    """Attributes that this class or one it inherits from marks: the function that counts, and its own mark if it has one."""
    names = dict.fromkeys(
        name for base in reversed(found.__mro__) for name, value in vars(base).items() if _mark_of(value) is not None
    )
    listed: list[tuple[str, Callable[..., Any] | None, _Marked | None]] = []
    for name in names:
        value = inspect.getattr_static(found, name)
        listed.append((name, value if inspect.isfunction(value) else None, _mark_of(value)))
    return listed


def _mark_of(value: object) -> _Marked | None:
    mark = getattr(value, _MARK, None) if inspect.isfunction(value) else None
    return mark if isinstance(mark, _Marked) else None


def handler_name(target: Any, kind: str) -> str:
    """The name by which to address a handler: text as it is, or a method marked `@workflow.KIND`.

    Raises:
        ConfigurationError: it is neither, or a dynamic handler, which has no name.
    """
    if isinstance(target, str):
        return check_name(target, what=f"{kind} name")
    mark = _mark_of(inspect.unwrap(getattr(target, "__func__", target)))
    if mark is None or mark.kind != kind:
        shown = name_of(target) if callable(target) else repr(target)
        raise ConfigurationError(f"{shown} is no {kind}; give a method marked @workflow.{kind}, or the {kind}'s name")
    if mark.name is None:
        raise ConfigurationError(f"{name_of(target)} is a dynamic handler; give the {kind}'s name as text")
    return mark.name


def handler_types(target: Any) -> tuple[Parameters | None, tuple[Any, ...], Any]:
    """The parameters, their types and the result type of a marked method; nothing is known of a mere name."""
    if isinstance(target, str):
        return None, (), Any
    parameters = parameters_of(target, what="handler", skip_self=True)
    return parameters, *hints_of(target, parameters)


# ------------------------------------------------------------------------------------------------- at run time


def set_signal_handler(name: str, handler: Callable[..., Coroutine[Any, Any, None] | None] | None) -> None:
    """Answer signals of this name with `handler` from now on; those that came before are answered at once. None: no longer."""
    _set("signal", check_name(name, what="signal name"), handler)


def set_query_handler(name: str, handler: Callable[..., Any] | None) -> None:
    """Answer queries of this name with `handler` from now on. None: no longer."""
    _set("query", check_name(name, what="query name"), handler)


def set_update_handler(
    name: str, handler: Callable[..., Any] | None, *, validator: Callable[..., None] | None = None
) -> None:
    """Answer updates of this name with `handler` from now on. None: no longer. `validator` may reject them before."""
    _set("update", check_name(name, what="update name"), handler, validator)


def set_dynamic_signal_handler(handler: Callable[..., Coroutine[Any, Any, None] | None] | None) -> None:
    """Answer every signal without a handler of its own; `handler` takes the name and the list of arguments."""
    _set("signal", None, handler)


def set_dynamic_query_handler(handler: Callable[..., Any] | None) -> None:
    """Answer every query without a handler of its own; `handler` takes the name and the list of arguments."""
    _set("query", None, handler)


def set_dynamic_update_handler(
    handler: Callable[..., Any] | None, *, validator: Callable[..., None] | None = None
) -> None:
    """Answer every update without a handler of its own; `handler` takes the name and the list of arguments."""
    _set("update", None, handler, validator)


def get_signal_handler(name: str) -> Callable[..., Any] | None:
    """The handler of signals of exactly this name."""
    return _get("signal", name)


def get_query_handler(name: str) -> Callable[..., Any] | None:
    """The handler of queries of exactly this name."""
    return _get("query", name)


def get_update_handler(name: str) -> Callable[..., Any] | None:
    """The handler of updates of exactly this name."""
    return _get("update", name)


def get_dynamic_signal_handler() -> Callable[..., Any] | None:
    """The handler of all other signals."""
    return _get("signal", None)


def get_dynamic_query_handler() -> Callable[..., Any] | None:
    """The handler of all other queries."""
    return _get("query", None)


def get_dynamic_update_handler() -> Callable[..., Any] | None:
    """The handler of all other updates."""
    return _get("update", None)


def all_handlers_finished() -> bool:
    """Whether no handler of a signal or update is under way: `await wait_condition(all_handlers_finished)` before the end."""
    return not context.current("all_handlers_finished").handlers.running


def current_update_info() -> UpdateInfo | None:
    """Which update the calling code answers; None outside handlers of updates."""
    return CURRENT_UPDATE.get()


def instance() -> Any:
    """The instance of the workflow's class; None for a workflow that is a function."""
    return context.current("instance").instance


def _set(
    kind: str, name: str | None, handler: Callable[..., Any] | None, validator: Callable[..., Any] | None = None
) -> None:
    replay = context.current(f"set_{kind}_handler")
    if handler is None:
        replay.set_handler(kind, name, None)
        return
    if not callable(handler):
        raise ConfigurationError(f"set_{kind}_handler: {handler!r} cannot be called")
    if validator is not None and inspect.iscoroutinefunction(validator):
        raise ConfigurationError(f"validator {name_of(validator)}: it may only look, so it is not async; write `def`")
    known = local_names(handler, depth=3)
    replay.set_handler(kind, name, _handler(_Marked(kind, name, False, None, validator), handler, known, skip_self=False))


def _get(kind: str, name: str | None) -> Callable[..., Any] | None:
    handler = context.current(f"get_{kind}_handler").handlers.get(kind, name)
    return None if handler is None else handler.function
