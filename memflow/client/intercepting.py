"""Interceptors around a client: what stands at the inner end of their chain, and how it is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, TypeVar

from memflow.client.handle import QUERY_TIMEOUT, Handle
from memflow.client.link import Link
from memflow.client.schedules import Schedules
from memflow.client.standalone import Activities
from memflow.client.values import check_headers
from memflow.client.workflows import Workflows
from memflow.errors import ConfigurationError
from memflow.interceptors import (
    ActOnActivityInput,
    CancelWorkflowInput,
    ClientInterceptor,
    CountWorkflowsInput,
    CreateScheduleInput,
    DescribeWorkflowInput,
    HookWorkflowInput,
    ListWorkflowsInput,
    OutboundClient,
    QueryWorkflowInput,
    SignalInput,
    SignalWorkflowInput,
    StartStandaloneActivityInput,
    StartUpdateInput,
    StartWorkflowInput,
    TerminateWorkflowInput,
    WorkerInterceptor,
    chained,
)

E = TypeVar("E")


class Inner(Protocol):
    """What a client has that the innermost calls need."""

    @property
    def workflow(self) -> Workflows: ...

    @property
    def schedule(self) -> Schedules: ...

    @property
    def activity(self) -> Activities: ...


def checked(interceptors: Sequence[E]) -> tuple[E, ...]:
    """The interceptors of a client.

    Raises:
        ConfigurationError: one of them is none.
    """
    for each in interceptors:
        if not isinstance(each, ClientInterceptor | WorkerInterceptor):
            shown = f"the class {each.__name__}" if isinstance(each, type) else repr(each)
            raise ConfigurationError(
                f"interceptors: {shown} is no interceptor; give instances of a class derived from"
                " memflow.interceptors.Interceptor, ClientInterceptor or WorkerInterceptor"
            )
    return tuple(interceptors)


def outbound_of(client: Inner, link: Link, interceptors: Sequence[Any]) -> OutboundClient | None:
    """What the calls of this client go through; None where nothing is around them."""
    first = _Calls(client, link)
    outbound: OutboundClient = chained(
        first, [each for each in interceptors if isinstance(each, ClientInterceptor)], "intercept_client"
    )
    return None if outbound is first else outbound


class _Calls(OutboundClient):
    """The calls themselves."""

    def __init__(self, client: Inner, link: Link) -> None:
        self._client = client
        self._link = link

    def _handle(self, id: str, run_id: str | None) -> Handle[Any]:
        return Handle(self._link, id, run_id=run_id, result_type=Any)

    async def start_workflow(self, input: StartWorkflowInput) -> Any:
        options = {**input.options, "id": input.id, "task_queue": input.task_queue, "headers": input.headers}
        known = input.target is not None and not isinstance(input.target, str)
        return await self._client.workflow.begin(
            input.target if known else input.workflow, input.args, input.result_type, options
        )

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        handle, headers = self._handle(input.id, input.run_id), check_headers(input.headers)
        await handle.give(
            input.signal, input.target or input.signal, input.args, headers, input.request_id, input.connection
        )

    async def signal(self, input: SignalInput) -> None:
        await self._link.give(input.signal_id, input.payload, input.expire, input.request_id, input.connection)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        handle, headers = self._handle(input.id, input.run_id), check_headers(input.headers)
        timeout = QUERY_TIMEOUT if input.timeout is None else input.timeout
        return await handle.ask(input.query, input.target or input.query, input.args, headers, input.result_type, timeout)

    async def start_update(self, input: StartUpdateInput) -> Any:
        handle, headers = self._handle(input.id, input.run_id), check_headers(input.headers)
        return await handle.put(
            input.update, input.target or input.update, input.args, headers, input.update_id, input.result_type
        )

    async def hook_workflow(self, input: HookWorkflowInput) -> str:
        handle = self._handle(input.id, input.run_id)
        known = input.target is not None and not isinstance(input.target, str)
        target = input.target if known else input.hook
        return await handle.start_hook(target, input.args, input.search, input.request_id, input.connection)

    async def create_schedule(self, input: CreateScheduleInput) -> Any:
        known = input.target is not None and not isinstance(input.target, str)
        target, options = input.target if known else input.workflow, {**input.options, "headers": input.headers}
        return await self._client.schedule.put(input.id, target, input.args, options, or_update=input.or_update)

    async def start_activity(self, input: StartStandaloneActivityInput) -> Any:
        options = {**input.options, "id": input.id, "headers": input.headers}
        if input.task_queue is not None:
            options["task_queue"] = input.task_queue
        known = input.target is not None and not isinstance(input.target, str)
        return await self._client.activity.begin(
            input.target if known else input.activity, input.args, input.result_type, options
        )

    async def act_on_activity(self, input: ActOnActivityInput) -> Any:
        return await input.act(input.args, input.keywords)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        await self._handle(input.id, input.run_id).ask_to_cancel(input.reason)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        await self._handle(input.id, input.run_id).end(input.reason)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> Any:
        return await self._handle(input.id, input.run_id).look()

    def list_workflows(self, input: ListWorkflowsInput) -> AsyncIterator[Any]:
        return self._client.workflow.pages(input.where, input.limit, input.order, records=input.records)

    async def count_workflows(self, input: CountWorkflowsInput) -> int:
        return await self._client.workflow.counted(input.where)
