"""Facts about this run, and what it may do to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVarTuple, overload

from memflow.core import context
from memflow.core.chain import ContinueAsNewError
from memflow.core.definition import RunInfo
from memflow.core.interrupts import SendSignal, StopOther
from memflow.core.replay import Replay
from memflow.core.unwinding import Evicted
from memflow.interceptors import SignalOtherInput
from memflow.names import check_name
from memflow.scheduling import text_headers
from memflow.workflow.handlers import handler_name, handler_types

Ts = TypeVarTuple("Ts")


def info() -> RunInfo:
    """Which run this is: ids, type, queue, parent, headers."""
    replay = context.current("info")
    return replay.info if replay.outbound is None else replay.outbound.info()


def in_workflow() -> bool:
    """Whether the code of a workflow calls."""
    return context.in_workflow()


async def cancel(workflow_id: str, *, run_id: str | None = None, reason: str | None = None) -> None:
    """Ask another run to cancel itself, when this turn commits. Nothing happens if it has ended. None: its latest run."""
    _stop("cancel", workflow_id, run_id, reason)


async def terminate(workflow_id: str, *, run_id: str | None = None, reason: str | None = None) -> None:
    """End another run at once, when this turn commits; its code does not hear of it. None: its latest run."""
    _stop("terminate", workflow_id, run_id, reason)


def get_external_handle(workflow_id: str, *, run_id: str | None = None) -> ExternalHandle:
    """A handle on a run that is not a child of this one. Asks nothing; None is the latest run of that id."""
    context.current("get_external_handle")
    return ExternalHandle(check_name(workflow_id, what="workflow id"), run_id)


@dataclass(frozen=True, slots=True)
class ExternalHandle:
    """Another run, as seen from a workflow."""

    id: str
    run_id: str | None = None

    @overload
    async def signal(self, target: str, *arguments: Any, type: Any = ...) -> None: ...
    @overload
    async def signal(self, target: Callable[[Any, *Ts], Any], *arguments: *Ts) -> None: ...
    async def signal(self, target: Any, *arguments: Any, type: Any = Any) -> None:  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
        """Send it a signal by name, or by a method marked `@workflow.signal`. One argument is the payload itself, several are a
        list. `type` describes the payload of a signal by name.

        Raises:
            TypeError: too few or too many arguments for the method.
            PayloadError: an argument does not fit, or is no plain JSON value and nothing says what it is.
        """
        await signal_run("handle.signal", target, arguments, type, self.id, self.run_id)

    async def cancel(self, *, reason: str | None = None) -> None:
        """Ask it to cancel itself."""
        _stop("cancel", self.id, self.run_id, reason)

    async def terminate(self, *, reason: str | None = None) -> None:
        """End it at once."""
        _stop("terminate", self.id, self.run_id, reason)


def did_interrupt(error: BaseException) -> bool:
    """Whether `error` is memflow's own rather than a failure. Kept for HotMesh users: false for every real failure.

    Interrupts never reach an `except`. Only `except BaseException` can meet what this is true for: a run's code being
    unwound because it leaves memory or continues as new. Raise that on.
    """
    return isinstance(error, Evicted | ContinueAsNewError)


async def signal_run(
    verb: str, target: Any, arguments: Sequence[Any], type: Any, workflow_id: str, run_id: str | None, *, child: bool = False
) -> None:
    """Ask that a signal be sent to one run: to the handler of that name, or to that method."""
    replay = context.current(verb)
    name = check_name(handler_name(target, "signal"), what="signal name")
    parameters, types, _ = handler_types(target)
    given = arguments if parameters is None else parameters.bind(arguments, {})
    match len(given):
        case 0:
            wanted = SignalOtherInput(name, None, workflow_id, run_id)
        case 1:
            wanted = SignalOtherInput(name, given[0], workflow_id, run_id, type=type if parameters is None else types[0])
        case _ if parameters is None:
            wanted = SignalOtherInput(name, list(given), workflow_id, run_id, type=type)
        case _:
            wanted = SignalOtherInput(name, list(given), workflow_id, run_id, arg_types=types)
    if replay.outbound is None:
        send(replay, wanted)
    elif child:
        await replay.outbound.signal_child_workflow(wanted)
    else:
        await replay.outbound.signal_external_workflow(wanted)


def send(replay: Replay, wanted: SignalOtherInput) -> None:
    """The same, behind interceptors."""
    if wanted.arg_types:
        payload = replay.codec.encode_arguments(wanted.payload, wanted.arg_types)
    else:
        payload = replay.codec.encode(wanted.payload, wanted.type)
    headers = text_headers(wanted.headers)
    replay.ask(SendSignal(replay.next_op(), wanted.signal, payload, wanted.workflow_id, wanted.run_id, headers))


def _stop(how: str, workflow_id: str, run_id: str | None, reason: str | None) -> None:
    replay = context.current(how)
    check_name(workflow_id, what="workflow id")
    replay.ask(StopOther(replay.next_op(), how, workflow_id, run_id, reason))
