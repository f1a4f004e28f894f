"""Hooks: further coroutines of a run, started by its own code, by another run, or from outside.

A hook shares everything with the run: journal, numbers of operations, record, memo. It begins in the order in which it was
asked for or arrived, and ends with the run at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from memflow import errors
from memflow.codec import Codec
from memflow.core.arrivals import HookReceived
from memflow.core.chain import continuation_in
from memflow.core.definition import Definition, Hook, RunInfo
from memflow.core.ending import ending_by
from memflow.core.interrupts import AnswerHook, Interrupt
from memflow.failure import failure_of
from memflow.payload import Payload

log = logging.getLogger(__name__)


class UnknownHook(errors.ConfigurationError):
    """No hook has that name; the message lists those there are."""


class Host(Protocol):
    """What hooks need of the replay."""

    definition: Definition
    info: RunInfo
    codec: Codec
    finished: bool

    @property
    def refusing(self) -> bool: ...
    def ask(self, interrupt: Interrupt) -> None: ...
    def broke(self, error: BaseException) -> None: ...
    def fail(self, error: BaseException) -> None: ...
    def write_record(self, verb: str, arguments: list[Any]) -> Any: ...
    def start_task(
        self, coroutine: Coroutine[Any, Any, Any], ended: Callable[[asyncio.Task[Any]], None], name: str
    ) -> asyncio.Task[Any]: ...


class Hooks:
    """The hooks of one run that are under way."""

    __slots__ = ("_host", "running")

    def __init__(self, host: Host) -> None:
        self._host = host
        self.running: dict[asyncio.Task[Any], str] = {}

    def named(self, name: str) -> Hook:
        """The hook that the worker knows by this name.

        Raises:
            UnknownHook: it knows none.
        """
        hooks = self._host.definition.hooks
        hook = hooks.get(name)
        if hook is None:
            known = ", ".join(sorted(hooks)) or "none"
            raise UnknownHook(f"hook {name!r} is not known here: list it in Worker(hooks=[...]); known hooks: {known}")
        return hook

    def start(self, hook: Hook, input: Payload) -> None:
        """Start a hook that nobody waits for: what it raises ends the run as what `run` raises does.

        Raises:
            PayloadError: the arguments do not fit its parameters.
        """
        arguments = self._host.codec.decode_arguments(input, hook.argument_types, hook.required_arguments)
        self._run(hook.function(*arguments), hook.name, self._host.fail)  # type: ignore[unused-awaitable]  # nobody waits

    def start_awaited(self, hook: Hook, input: Payload) -> asyncio.Task[Any]:
        """Start a hook whose end the caller takes from the task: its result, or an error that would have failed the run.

        Raises:
            PayloadError: the arguments do not fit its parameters.
        """
        arguments = self._host.codec.decode_arguments(input, hook.argument_types, hook.required_arguments)
        return self._run(hook.function(*arguments), hook.name, self._unless_it_fails)

    def receive(self, arrival: HookReceived) -> None:
        """A hook was sent to this run. One whose arguments or fields do not fit is dropped; who waits for its end is told."""
        host = self._host
        if host.refusing or host.finished:
            return
        try:
            hook = self.named(arrival.name)
        except UnknownHook as unknown:
            host.broke(unknown)                          # the run waits, visibly, for a worker that knows it
            return
        try:
            if arrival.search is not None:
                host.write_record("search.set", [host.codec.decode(arrival.search, dict[str, Any])])
            arguments = host.codec.decode_arguments(arrival.input, hook.argument_types, hook.required_arguments)
        except errors.PayloadError as error:
            if arrival.reply_op is None:
                log.error("a hook was dropped: its arguments do not fit %r, or its fields the record: %s", arrival.name, error)
            else:
                self._reply(arrival, error=error)
            return
        answers = arrival.reply_op is not None
        coroutine = self._answering(hook, arguments, arrival) if answers else hook.function(*arguments)
        self._run(coroutine, hook.name, host.fail)  # type: ignore[unused-awaitable]  # nobody here waits

    def unfinished(self) -> list[str]:
        """The names of those under way."""
        return list(self.running.values())

    def _run(
        self, coroutine: Coroutine[Any, Any, Any], name: str, raised: Callable[[BaseException], None]
    ) -> asyncio.Task[Any]:
        def ended(task: asyncio.Task[Any]) -> None:
            self.running.pop(task, None)
            error = errors.CancelledError(f"hook {name} was cancelled") if task.cancelled() else task.exception()
            if error is not None and not self._host.finished:
                raised(error)

        task = self._host.start_task(coroutine, ended, f"hook {name}")
        self.running[task] = name
        return task

    def _unless_it_fails(self, error: BaseException) -> None:
        host = self._host
        if continuation_in(error) is not None:
            host.fail(error)
        elif ending_by(error, host.definition, host.codec, cancelling=False) is None:
            host.broke(error)

    async def _answering(self, hook: Hook, arguments: Sequence[Any], arrival: HookReceived) -> None:
        host = self._host
        try:
            result = await hook.function(*arguments)
            encoded = host.codec.encode(result, hook.result_type)
        except asyncio.CancelledError:
            if host.refusing:
                raise
            self._reply(arrival, error=errors.CancelledError(f"hook {hook.name} was cancelled"))
        except Exception as error:
            if ending_by(error, host.definition, host.codec, cancelling=False) is None:
                raise
            self._reply(arrival, error=error)
        else:
            self._reply(arrival, result=encoded)

    def _reply(self, arrival: HookReceived, *, result: Payload | None = None, error: Exception | None = None) -> None:
        host = self._host
        workflow_id, run_id, op = arrival.reply_workflow_id, arrival.reply_run_id, arrival.reply_op
        assert workflow_id is not None and run_id is not None and op is not None, "only asked where somebody waits"
        failure = None
        if error is not None:
            info = host.info
            wrapped = errors.HookError(
                f"hook {arrival.name} in workflow {info.workflow_id} failed: {error}",
                hook=arrival.name,
                workflow_id=info.workflow_id,
                run_id=info.run_id,
            )
            wrapped.__cause__ = error
            failure = failure_of(wrapped, host.codec)
        host.ask(AnswerHook(arrival.hook_id, workflow_id, run_id, op, result, failure))
