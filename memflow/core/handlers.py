"""The handlers of a run: what its code answers to signals, queries and updates, and which of it is running.

Signals and updates run as tasks of the run, in the order they came. A query runs between turns, may only look, and leaves
no trace.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

from memflow.codec import Codec
from memflow.core.arrivals import Arrival, SignalReceived, UpdateReceived
from memflow.core.definition import Handler, RunInfo
from memflow.core.dialect import Dialect
from memflow.core.interrupts import AnswerUpdate, Interrupt
from memflow.errors import (
    PayloadError,
    ReadOnlyError,
    UnfinishedSignalHandlersWarning,
    UnfinishedUpdateHandlersWarning,
)
from memflow.interceptors import HandleQueryInput, HandleSignalInput, WorkflowInbound
from memflow.payload import Payload

log = logging.getLogger(__name__)

STACK_QUERY = "__stack_trace"
"""A query that every run answers: where its code waits."""


@dataclass(frozen=True, slots=True)
class UpdateInfo:
    """Which update the calling code answers."""

    id: str
    name: str


CURRENT_UPDATE: ContextVar[UpdateInfo | None] = ContextVar("memflow_update", default=None)


@dataclass(frozen=True, slots=True)
class Running:
    """A handler under way. `update_id` None: of a signal."""

    handler: Handler
    name: str
    update_id: str | None = None


class Handlers:
    """The handlers of one run by kind and name, and those under way."""

    __slots__ = ("_codec", "_dialect", "_table", "running")

    def __init__(self, codec: Codec, dialect: Dialect) -> None:
        self._codec = codec
        self._dialect = dialect
        self._table: dict[tuple[str, str | None], Handler] = {}
        self.running: dict[asyncio.Task[Any], Running] = {}

    def bind(self, handlers: Iterable[Handler], instance: object) -> None:
        """Take over the handlers of a class, for one instance of it."""
        for each in handlers:
            validator = None if each.validator is None else MethodType(each.validator, instance)
            self.put(each.kind, each.name, replace(each, function=MethodType(each.function, instance), validator=validator))

    def clear(self) -> None:
        """Forget them all; the run leaves memory. They know the instance, and it may know its run."""
        self._table.clear()
        self.running.clear()

    def put(self, kind: str, name: str | None, handler: Handler | None) -> None:
        """Set a handler, or take it away."""
        if handler is None:
            self._table.pop((kind, name), None)
        else:
            self._table[kind, name] = handler

    def get(self, kind: str, name: str | None) -> Handler | None:
        """The handler of exactly this name; None: the dynamic one."""
        return self._table.get((kind, name))

    def find(self, kind: str, name: str) -> Handler:
        """The handler of that name, else the dynamic one.

        Raises:
            UnknownHandler: there is none, in the words of the run's dialect.
        """
        handler = self.get(kind, name) or self.get(kind, None)
        if handler is None:
            known = sorted(known for of, known in self._table if of == kind and known is not None)
            raise self._dialect.unknown_handler(kind, name, known)
        return handler

    def known(self, kind: str) -> list[Handler]:
        """All handlers of signals, queries or updates; one for any name comes first."""
        found = [handler for (of, _), handler in self._table.items() if of == kind]
        return sorted(found, key=lambda each: (each.name is not None, each.name))

    def arguments_of(self, handler: Handler, name: str, input: Payload) -> Sequence[Any]:
        """What a query or update calls its handler with.

        Raises:
            PayloadError: the arguments do not fit the handler's parameters.
        """
        if handler.raw:
            return [name, input]
        if handler.name is None:
            return [name, self._codec.decode(input, list[Any])]
        return self._codec.decode_arguments(input, handler.argument_types, handler.required_arguments)

    def signal_arguments(self, handler: Handler, signal: SignalReceived) -> Sequence[Any]:
        """What a signal calls its handler with: its payload, or the members of a list where several are expected.

        Raises:
            PayloadError: the payload does not fit the handler's parameters.
        """
        if handler.raw:
            return [signal.name, signal.payload]
        codec = self._codec
        types = list(handler.argument_types)
        if handler.name is None:
            value = codec.decode(signal.payload)
            return [signal.name, value if isinstance(value, list) else [] if value is None else [value]]
        if not types or (handler.required_arguments == 0 and codec.decode(signal.payload) is None):
            return ()
        if len(types) > 1 and isinstance(codec.decode(signal.payload), list):
            return codec.decode_arguments(signal.payload, types, handler.required_arguments)
        if handler.required_arguments > 1:
            raise PayloadError(f"{handler.required_arguments} arguments are needed, one was sent")
        return [codec.decode(signal.payload, types[0])]

    def query(
        self, name: str, input: Payload, inbound: WorkflowInbound | None = None, headers: Mapping[str, str] | None = None
    ) -> Payload:
        """Answer a query. Whatever the handler raises passes through.

        Raises:
            UnknownHandler, PayloadError: it cannot be asked so.
            ReadOnlyError: the handler waits for something.
        """
        handler = self.find("query", name)
        arguments = self.arguments_of(handler, name, input)
        if inbound is None:
            found = handler.function(*arguments)
        else:
            found = inbound.handle_query(HandleQueryInput(name, arguments, headers or {}, handler.function))
        if inspect.iscoroutine(found):
            found = _at_once(found, name)
        return self._codec.encode(found, handler.result_type)

    def unfinished(self) -> list[Running]:
        """Handlers under way that somebody minds about."""
        return [each for each in self.running.values() if not each.handler.silent]

    @property
    def updating(self) -> bool:
        """Whether an accepted update is not answered yet."""
        return bool(self.running) and any(each.update_id is not None for each in self.running.values())


async def run_signal(
    handler: Handler, signal: SignalReceived, arguments: Callable[[], Sequence[Any]], inbound: WorkflowInbound | None
) -> None:
    """Call a signal's handler. A payload that does not fit it is dropped: nobody waits for an answer."""
    try:
        given = arguments()
    except PayloadError as error:
        log.error("a signal was dropped: its payload does not fit the handler of %r: %s", signal.name, error)
        return
    if inbound is not None:
        await inbound.handle_signal(HandleSignalInput(signal.name, given, signal.headers, handler.function))
        return
    returned = handler.function(*given)
    if inspect.isawaitable(returned):
        await returned


async def call(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What a handler returns, whether it is async or not."""
    returned = function(*arguments)
    return await returned if inspect.isawaitable(returned) else returned


def in_words(running: Running) -> str:
    """A handler under way, as `update add_item (id)`."""
    return f"signal {running.name}" if running.update_id is None else f"update {running.name} ({running.update_id})"


def warn_unfinished(unfinished: Sequence[Running], info: RunInfo, dialect: Dialect) -> None:
    """A Python warning per kind of handler, for tests that turn warnings into errors.

    Raises:
        RuntimeWarning: warnings are errors, and the dialect has such a turn fail.
    """
    for kind, category in (("signal", UnfinishedSignalHandlersWarning), ("update", UnfinishedUpdateHandlersWarning)):
        named = [(each.name, each.update_id) for each in unfinished if (each.update_id is None) == (kind == "signal")]
        if named:
            text = dialect.unfinished(kind, named, info.workflow, info.workflow_id)
            try:
                warnings.warn(text, category, stacklevel=2)
            except RuntimeWarning:                       # where warnings are errors: the log has told of it
                if dialect.warnings_may_fail_turns:
                    raise


def journaled(arrivals: Sequence[Arrival], asked: Sequence[Interrupt]) -> tuple[Sequence[Arrival], Sequence[Interrupt]]:
    """A turn without what leaves no trace in the journal: updates that were rejected."""
    rejected = [each.update_id for each in asked if type(each) is AnswerUpdate and each.outcome == "rejected"]
    if not rejected:
        return arrivals, asked
    return (
        [each for each in arrivals if not (isinstance(each, UpdateReceived) and each.update_id in rejected)],
        [each for each in asked if not (isinstance(each, AnswerUpdate) and each.update_id in rejected)],
    )


def _at_once(coroutine: Coroutine[Any, Any, Any], name: str) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise ReadOnlyError(f"query {name!r} waits for something; a query answers at once")
