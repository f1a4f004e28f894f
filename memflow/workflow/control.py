"""Facts about this run, and what it may do to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memflow.core import context
from memflow.core.chain import ContinueAsNewError
from memflow.core.definition import RunInfo
from memflow.core.interrupts import SendSignal, StopOther
from memflow.core.replay import Replay
from memflow.core.unwinding import Evicted
from memflow.interceptors import SignalOtherInput
from memflow.names import check_name
from memflow.scheduling import text_headers


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

    async def signal(self, name: str, payload: Any = None, *, type: Any = Any) -> None:
        """Send it a signal by name. `type` describes the payload.

        Raises:
            PayloadError: the payload is no plain JSON value and `type` does not say what it is.
        """
        await send_to_run("handle.signal", SignalOtherInput(name, payload, self.id, self.run_id, type=type))

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


async def send_to_run(verb: str, wanted: SignalOtherInput, *, child: bool = False) -> None:
    """Ask that a signal be sent by name to one run."""
    replay = context.current(verb)
    check_name(wanted.signal, what="signal name")
    if replay.outbound is None:
        send(replay, wanted)
    elif child:
        await replay.outbound.signal_child_workflow(wanted)
    else:
        await replay.outbound.signal_external_workflow(wanted)


def send(replay: Replay, wanted: SignalOtherInput) -> None:
    """The same, behind interceptors."""
    payload = replay.codec.encode(wanted.payload, wanted.type)
    headers = text_headers(wanted.headers)
    replay.ask(SendSignal(replay.next_op(), wanted.signal, payload, wanted.workflow_id, wanted.run_id, headers))


def _stop(how: str, workflow_id: str, run_id: str | None, reason: str | None) -> None:
    replay = context.current(how)
    check_name(workflow_id, what="workflow id")
    replay.ask(StopOther(replay.next_op(), how, workflow_id, run_id, reason))
