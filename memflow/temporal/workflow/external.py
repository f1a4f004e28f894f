"""Other workflows, as seen from one: what is sent to them, and whether anybody was there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from memflow.core.arrivals import MessageDelivered, MessageNotDelivered
from memflow.core.interrupts import SendSignal, StopOther
from memflow.core.replay import Replay
from memflow.names import check_name
from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.converter import WorkflowSerializationContext
from memflow.temporal.exceptions import ApplicationError
from memflow.temporal.interception import SignalExternalWorkflowInput
from memflow.temporal.stored import Arguments, stored_signal
from memflow.temporal.workflow.define import handler_name
from memflow.temporal.workflow.running import Running, current

S = TypeVar("S")


async def send_signal(
    running: Running, name: str, args: Sequence[Any], headers: Mapping[str, Any], workflow_id: str, run_id: str | None
) -> None:
    """Send a signal to another run, and wait until that has it.

    Raises:
        ApplicationError: there is none, or it has ended.
    """
    replay = running.replay
    target = WorkflowSerializationContext(replay.info.namespace, workflow_id)
    codec = running.codec.told(target)
    payload = codec.own(stored_signal(Arguments(codec.to_payloads(args), headers)))
    named = check_name(name, what="signal name")
    asked = SendSignal(replay.next_op(), named, payload, workflow_id, run_id, tell=True)
    if isinstance(await _told(replay, asked), MessageNotDelivered):
        raise _not_found("Unable to signal external workflow because it was not found")


async def _told(replay: Replay, asked: SendSignal | StopOther) -> object:
    """Ask, and wait for what became of it. A journal of before that was told holds no answer: then it is as good as delivered."""
    agreed = replay.ask_agreed(asked)
    if isinstance(agreed, SendSignal | StopOther) and not agreed.tell:
        return MessageDelivered(asked.op)
    return await replay.answer(asked.op)


def _not_found(message: str) -> ApplicationError:
    return ApplicationError(message, type="ExternalWorkflowExecutionNotFound")


@dataclass(frozen=True)
class ExternalWorkflowHandle(Generic[S]):
    """Another workflow, as seen from this one."""

    id: str
    run_id: str | None = None

    async def signal(
        self,
        signal: str | Callable[..., Any],
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        event_groups: Sequence[Any] | None = None,
    ) -> None:
        """Send it a signal, and wait until it has it.

        Raises:
            ApplicationError: there is none, or it has ended; the type is ExternalWorkflowExecutionNotFound.
        """
        running = current()
        running.check_writable("signal external handle")
        name, _ = handler_name(signal, "signal")
        input = SignalExternalWorkflowInput(
            name, arg_or_args(arg, args), running.replay.info.namespace, self.id, self.run_id, {}
        )
        if running.outbound is not None:
            await running.outbound.signal_external_workflow(input)
        else:
            await send_signal(running, input.signal, input.args, input.headers, self.id, self.run_id)

    async def cancel(self, *, reason: str = "", event_groups: Sequence[Any] | None = None) -> None:
        """Ask it to cancel itself, and wait until it is asked. One that has ended takes no notice.

        Raises:
            ApplicationError: there is none; the type is ExternalWorkflowExecutionNotFound.
        """
        running = current()
        running.check_writable("cancel external handle")
        replay = running.replay
        asked = StopOther(replay.next_op(), "cancel", self.id, self.run_id, reason or None, tell=True)
        answer = await _told(replay, asked)
        if isinstance(answer, MessageNotDelivered) and answer.status is None:
            raise _not_found("Unable to cancel external workflow because not found")


def get_external_workflow_handle(workflow_id: str, *, run_id: str | None = None) -> ExternalWorkflowHandle[Any]:
    """A handle on a workflow that is no child of this one. Asks nothing."""
    current()
    return ExternalWorkflowHandle(check_name(workflow_id, what="workflow id"), run_id)


def get_external_workflow_handle_for(
    workflow: Callable[[S], Awaitable[Any]] | Callable[[S, Any], Awaitable[Any]],
    workflow_id: str,
    *,
    run_id: str | None = None,
) -> ExternalWorkflowHandle[S]:
    """The same, typed by its run method."""
    return get_external_workflow_handle(workflow_id, run_id=run_id)
