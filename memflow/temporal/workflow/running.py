"""One run as Temporal's verbs see it: the instance, its definition, and what memflow's replay offers to it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut, UpdateReceived
from memflow.core.definition import Handler
from memflow.core.handlers import CURRENT_UPDATE
from memflow.core.replay import CURRENT, Replay
from memflow.errors import PayloadError
from memflow.payload import Payload as Stored
from memflow.temporal.common import RawValue, WorkerDeploymentVersion
from memflow.temporal.exceptions import CancelledError, FailureError, is_cancelled_exception
from memflow.temporal.interception import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.own_metrics import OwnMetrics
from memflow.temporal.service import LONG_HISTORY
from memflow.temporal.stored import ConvertingCodec, headers_in, loaded_arguments, loaded_signal
from memflow.temporal.workflow.define import HandlerDefinition, WorkflowDefinition
from memflow.temporal.workflow.dialect import TemporalDialect
from memflow.temporal.workflow.words import HandlerUnfinishedPolicy, NotInWorkflowEventLoopError, ReadOnlyContextError

if TYPE_CHECKING:
    from memflow.temporal.workflow.facts import Info

log = logging.getLogger(__name__)

_TASK: Final = ("scheduled", "started", "completed")
"""The events that a task makes."""
_ANSWERS: Final = (ActivityCompleted, ActivityFailed, ActivityTimedOut, ActivityCancelled)


def _unguarded(cls: type) -> TemporalDialect:
    return TemporalDialect(None, guarded=False)


@dataclass(frozen=True)
class Settings:
    """What a worker says of all its workflows."""

    interceptors: Sequence[type[WorkflowInboundInterceptor]] = ()
    extern_functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    failure_exception_types: Sequence[type[BaseException]] = ()
    disable_eager_activity_execution: bool = False
    meter: MetricMeter = MetricMeter.noop
    build_id: str = ""
    dialect: Callable[[type], TemporalDialect] = _unguarded
    unsandboxed_dialect: Callable[[type], TemporalDialect] = _unguarded
    activities: frozenset[str | None] | None = None
    """Names of the worker's activities, None among them for one that takes any; None: not known, in a replay."""
    deployment: WorkerDeploymentVersion | None = None
    long_history: int = LONG_HISTORY
    """Events from which on a run is advised to continue as new."""
    own_metrics: OwnMetrics | None = None

    def check_local(self, name: str) -> None:
        """Refuse a local activity that this worker does not have.

        Raises:
            ValueError: it does not.
        """
        if self.activities is None or name in self.activities or None in self.activities:
            return
        listed = ", ".join(sorted(each for each in self.activities if each is not None))
        known = f"available activities: {listed}" if listed else "no available activities"
        raise ValueError(f"Activity function {name} is not registered on this worker, {known}.")


class Running:
    """A run of a Temporal workflow: what memflow holds as the instance of its class."""

    def __init__(self, definition: WorkflowDefinition, settings: Settings, input: Stored) -> None:
        replay = CURRENT.get()
        assert replay is not None, "a workflow is made by its run"
        assert isinstance(replay.codec, ConvertingCodec), "a worker of memflow.temporal has a codec of its own"
        self.replay: Replay = replay
        self.definition = definition
        self.settings = settings
        self.input = input
        self.codec: ConvertingCodec = replay.codec
        self.headers = headers_in(input)
        self.info: Info | None = None
        self.details = ""
        self.sent_attributes: dict[str, Any] = {}
        """Search attributes that this run has set, as it wrote them."""
        self.activities = 0
        """How many it has asked for."""
        self.seed_callbacks: list[Callable[[int], None]] = []
        self._counted_in = 0                     # the last turn in which something counted otherwise than as an entry
        self._counted = self._counted_before = 0 # how many events more than entries there are, and were before that turn
        self._of_locals = 0                      # the same of local activities
        self._local_turn = 0                     # the last turn in which one answered
        self.local_ops: set[int] = set()
        self.set_handlers: dict[tuple[str, str | None], HandlerDefinition] = {}
        self.inbound: WorkflowInboundInterceptor | None = None
        self.outbound: WorkflowOutboundInterceptor | None = None
        self.failure_exception_types: Sequence[type[BaseException]] = ()
        replay.instance = self
        if settings.interceptors:
            self._intercept()
        self.arguments: Sequence[Any] = ()
        self._refused: Exception | None = None
        try:
            self.arguments = self._run_arguments()
        except PayloadError as problem:
            # The workflow's code is told when it would get them, so that handlers of this turn see the same failure as it.
            raise RuntimeError("Failed decoding arguments") from problem.__cause__ or problem
        self.obj: Any = definition.cls(*self.arguments) if definition.init_takes_arguments else definition.cls()
        if definition.dynamic_config is not None:
            config = definition.dynamic_config(self.obj)
            self.failure_exception_types = types = tuple(config.failure_exception_types or ())
            if types:
                replay.definition = replace(replay.definition, fails_on=(*replay.definition.fails_on, *types))

    def _run_arguments(self) -> Sequence[Any]:
        if self.definition.name is None:
            return [[RawValue(payload) for payload in loaded_arguments(self.input).payloads]]
        return self.codec.read_arguments(self.input, self.definition.argument_types)

    def _intercept(self) -> None:
        from memflow.temporal.workflow.outbound import Outbound  # here: it is made of the verbs, which need this module

        chain: WorkflowInboundInterceptor = _Inbound(self)
        for cls in reversed(self.settings.interceptors):
            chain = cls(chain)
        self.inbound = chain
        chain.init(Outbound(self))

    def answered(self, *, local: bool) -> None:
        """An activity has answered: events are counted otherwise than entries.

        Temporal's histories have an event more for an activity that begins. A local one is one marker instead of two
        entries, and needs no task of its own.
        """
        if not local:
            self._count(1)
            return
        self._of_locals -= 1
        replay = self.replay
        if self._local_turn != replay.turn_number:
            self._local_turn = replay.turn_number
            if all(getattr(each, "op", None) in self.local_ops for each in replay.arrived):
                self._of_locals -= len(_TASK)

    def updating(self) -> None:
        """An update was accepted: one event, and two entries."""
        self._count(-1)

    def _count(self, events: int) -> None:
        turn = self.replay.turn_number
        if turn != self._counted_in:
            self._counted_in, self._counted_before = turn, self._counted
        self._counted += events

    def history_length(self) -> int:
        """The events of this run's history: when this turn began, or for a query, which comes after it, with what it asked."""
        replay = self.replay
        of_turns = len(_TASK) * replay.turn_number - 1 + self._of_locals
        if replay.querying:
            return replay.length + of_turns + self._counted
        arrived = [
            each
            for each in replay.arrived
            if not isinstance(each, UpdateReceived) and getattr(each, "op", None) not in self.local_ops
        ]
        begun = sum(isinstance(each, _ANSWERS) for each in arrived)
        before = self._counted_before if self._counted_in == replay.turn_number else self._counted
        return replay.length_before + len(arrived) + of_turns + begun + before

    def check_writable(self, action: str) -> None:
        """Refuse what changes the run where code may only look.

        Raises:
            ReadOnlyContextError: in a query, validator or condition.
        """
        if self.replay.read_only:
            raise ReadOnlyContextError.of(action)

    # ------------------------------------------------------------------------------------------------- what comes

    def run(self) -> Any:
        """The coroutine of the workflow."""
        own = self.settings.own_metrics
        return self._run() if own is None else own.workflow(self.replay, self._run())

    def _run(self) -> Any:
        fn, obj = self.definition.run_fn, self.obj
        if self.inbound is None:
            return fn(obj, *self.arguments)
        input = ExecuteWorkflowInput(
            type=self.definition.cls, run_fn=MethodType(fn, obj), args=self.arguments, headers=self.headers
        )
        return self.inbound.execute_workflow(input)

    def find(self, kind: str, name: str) -> HandlerDefinition | None:
        """The handler of that name, else the dynamic one, whether declared or set at run time."""
        for key in ((kind, name), (kind, None)):
            found = self.set_handlers.get(key) or self.definition.handlers.get(key)
            if found is not None:
                return found
        return None

    def call(self, handler: HandlerDefinition, args: Sequence[Any]) -> Any:
        """What the handler returns; a coroutine if it is async."""
        return handler.fn(self.obj, *args) if handler.is_method else handler.fn(*args)

    def validate(self, handler: HandlerDefinition, args: Sequence[Any]) -> None:
        """Call the validator of an update, if it has one."""
        if handler.validator is not None:
            _ = handler.validator(self.obj, *args) if handler.is_method else handler.validator(*args)

    def values(self, handler: HandlerDefinition, name: str, payload: Stored) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments for a handler, and the headers they came with.

        Raises:
            PayloadError: they cannot be decoded.
        """
        try:
            return self._values(handler, name, payload)
        except PayloadError as problem:
            if handler.kind == "signal":
                raise
            raise RuntimeError("Failed decoding arguments") from problem.__cause__

    def _values(self, handler: HandlerDefinition, name: str, payload: Stored) -> tuple[Sequence[Any], Mapping[str, Any]]:
        types = handler.argument_types
        if handler.kind == "signal":
            carried = loaded_signal(payload, len(types))
        elif handler.name is not None and payload.encoding is None:
            return self.codec.read_arguments(payload, types), {}
        else:
            carried = loaded_arguments(payload)
        if handler.name is None and handler.takes_any:
            return [name, *(self.codec.read(one) for one in carried.payloads)], carried.headers
        if handler.name is None:
            return [name, [RawValue(one) for one in carried.payloads]], carried.headers
        hints = list(types[: len(carried.payloads)]) if len(types) >= len(carried.payloads) else [Any] * len(carried.payloads)
        return [self.codec.read(one, hint) for one, hint in zip(carried.payloads, hints, strict=True)], carried.headers


class _Inbound(WorkflowInboundInterceptor):
    """The end of the chain: the workflow's own code."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._running.outbound = outbound

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        return await input.run_fn(*input.args)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        await self._call("signal", input.signal, input.args)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        return await self._call("query", input.query, input.args)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        handler = self._found("update", input.update)
        self._running.validate(handler, input.args)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        return await self._call("update", input.update, input.args)

    def _found(self, kind: str, name: str) -> HandlerDefinition:
        handler = self._running.find(kind, name)
        assert handler is not None, f"no handler for {kind} {name}, though one was found before"
        return handler

    async def _call(self, kind: str, name: str, args: Sequence[Any]) -> Any:
        returned = self._running.call(self._found(kind, name), args)
        return await returned if inspect.isawaitable(returned) else returned


# ------------------------------------------------------------------------------------------------- for memflow's replay


def engine_handler(handler: HandlerDefinition) -> Handler:
    """A handler as memflow's replay knows it. Its functions take the run, the name and the payload as it came."""
    answer = {"signal": _answer_signal, "query": _answer_query, "update": _answer_update}[handler.kind]

    def function(running: Running, name: str, payload: Stored) -> Any:
        return answer(running, handler, name, payload)

    def validator(running: Running, name: str, payload: Stored) -> None:
        args, headers = running.values(handler, name, payload)   # what cannot be read is rejected before it is accepted
        if running.inbound is None or handler.validator is None:
            running.validate(handler, args)
        else:
            running.inbound.handle_update_validator(HandleUpdateInput(_update_id(), name, args, headers))

    return Handler(
        handler.kind,
        handler.name,
        function,
        (),
        0,
        Any,
        validator if handler.kind == "update" else None,
        handler.unfinished_policy is HandlerUnfinishedPolicy.ABANDON,
        handler.description,
        raw=True,
    )


def bound(handler: Handler, running: Running) -> Handler:
    """The same handler for one run, as memflow's replay binds those of a class."""
    validator = None if handler.validator is None else MethodType(handler.validator, running)
    return replace(handler, function=MethodType(handler.function, running), validator=validator)


def _answer_signal(running: Running, handler: HandlerDefinition, name: str, payload: Stored) -> Any:
    try:
        args, headers = running.values(handler, name, payload)
    except PayloadError:
        if not running.replay.silent:
            log.exception("Failed deserializing signal input for %s, dropping the signal", name)
        return None
    if running.inbound is not None:
        return running.inbound.handle_signal(HandleSignalInput(name, args, headers))
    return running.call(handler, args)


def _answer_query(running: Running, handler: HandlerDefinition, name: str, payload: Stored) -> Any:
    args, headers = running.values(handler, name, payload)
    if running.inbound is not None:
        return running.inbound.handle_query(HandleQueryInput(name, name, args, headers))
    return running.call(handler, args)


def _answer_update(running: Running, handler: HandlerDefinition, name: str, payload: Stored) -> Any:
    running.updating()
    args, headers = running.values(handler, name, payload)
    if running.inbound is not None:
        answer: Any = running.inbound.handle_update_handler(HandleUpdateInput(_update_id(), name, args, headers))
    else:
        answer = running.call(handler, args)
    return _updated(answer) if inspect.isawaitable(answer) else answer


async def _updated(answer: Awaitable[Any]) -> Any:
    """What an update's handler returns. One that ends by a cancellation, of an activity too, is cancelled itself."""
    try:
        return await answer
    except (asyncio.CancelledError, FailureError) as error:
        replay = CURRENT.get()
        refusing = replay is not None and replay.refusing
        if refusing or not is_cancelled_exception(error):
            raise
        raise CancelledError("Cancellation raised within update ") from None


def _update_id() -> str:
    update = CURRENT_UPDATE.get()
    return "" if update is None else update.id


# ------------------------------------------------------------------------------------------------- which run


def current() -> Running:
    """The run whose code calls.

    Raises:
        NotInWorkflowEventLoopError: no workflow does, or one that is none of Temporal's.
    """
    replay = CURRENT.get()
    if replay is None:
        raise NotInWorkflowEventLoopError
    running = replay.instance
    if type(running) is not Running:
        raise NotInWorkflowEventLoopError(
            f"workflow {replay.info.workflow!r} is one of memflow, not of memflow.temporal; call memflow.workflow's verbs in it"
        )
    return running


def current_or_none() -> Running | None:
    """The run whose code calls; None outside."""
    replay = CURRENT.get()
    running = None if replay is None else replay.instance
    return running if isinstance(running, Running) else None
