"""The client: starts workflows, finds them, talks to them, over a Postgres database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, Final, Self, TypeVar, cast, overload

from typing_extensions import TypedDict, Unpack

from memflow.client import Client as EngineClient
from memflow.client.codecs import AnyCodec
from memflow.temporal.arguments import UNSET, with_options
from memflow.temporal.client.activities import OpenActivities
from memflow.temporal.client.calls import Calls
from memflow.temporal.client.errors import ScheduleAlreadyRunningError
from memflow.temporal.client.handle import WorkflowHandle
from memflow.temporal.client.inputs import CountWorkflowsInput, ListWorkflowsInput
from memflow.temporal.client.listing import WorkflowExecutionAsyncIterator, WorkflowExecutionCount
from memflow.temporal.client.outbound import Interceptor, OutboundInterceptor
from memflow.temporal.client.plugins import Plugin
from memflow.temporal.client.schedule_handle import SchedulingClient
from memflow.temporal.client.standalone import StandaloneCalls
from memflow.temporal.client.starting import START_OPTIONS, StartOptions, start_input
from memflow.temporal.client.with_start import UpdateWithStart
from memflow.temporal.common import (
    HeaderCodecBehavior,
    QueryRejectCondition,
)
from memflow.temporal.converter import DataConverter
from memflow.temporal.runtime import Runtime
from memflow.temporal.sealing import Sealing
from memflow.temporal.service import (
    ConnectConfig,
    DnsLoadBalancingConfig,
    GrpcCompression,
    HttpConnectProxyConfig,
    KeepAliveConfig,
    PayloadLimitsConfig,
    RetryConfig,
    ServiceClient,
    TLSConfig,
)
from memflow.temporal.stored import ConvertingCodec
from memflow.temporal.telling import codec_of
from memflow.temporal.workflow.define import name_and_result_type

__all__ = ["Client", "ClientConfig", "ClientConnectConfig", "ScheduleAlreadyRunningError", "StartOptions"]

S = TypeVar("S")
R = TypeVar("R")
Connect = Callable[[ConnectConfig], Awaitable[ServiceClient]]
P = TypeVar("P")


class ClientConfig(TypedDict, total=False):
    """What a client is made of: `Client(**client.config())` is another one like it."""

    service_client: ServiceClient
    namespace: str
    data_converter: DataConverter
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    default_workflow_query_reject_condition: QueryRejectCondition | None
    header_codec_behavior: HeaderCodecBehavior


class ClientConnectConfig(TypedDict, total=False):
    """Arguments of `Client.connect`."""

    target_host: str
    namespace: str
    api_key: str | None
    data_converter: DataConverter
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    tls: bool | TLSConfig | None
    rpc_metadata: Mapping[str, str | bytes]
    identity: str | None
    lazy: bool
    runtime: Runtime | None


_NAMED: Final = {"id": None, "task_queue": None}


@dataclass(frozen=True)
class _Facts:
    """What a client was made of."""

    service_client: ServiceClient
    namespace: str
    data_converter: DataConverter
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    query_reject_condition: QueryRejectCondition | None
    header_codec_behavior: HeaderCodecBehavior


class Client(Calls, StandaloneCalls, OpenActivities, SchedulingClient, UpdateWithStart):
    """A client. Made by `connect`, or from another: `Client(**{**client.config(), "data_converter": ...})`."""

    def __init__(
        self,
        service_client: ServiceClient,
        *,
        namespace: str = "default",
        data_converter: DataConverter = DataConverter.default,
        plugins: Sequence[Plugin] = [],
        interceptors: Sequence[Interceptor] = [],
        default_workflow_query_reject_condition: QueryRejectCondition | None = None,
        header_codec_behavior: HeaderCodecBehavior = HeaderCodecBehavior.NO_CODEC,
    ) -> None:
        config = ClientConfig(
            service_client=service_client,
            namespace=namespace,
            data_converter=data_converter,
            plugins=plugins,
            interceptors=interceptors,
            default_workflow_query_reject_condition=default_workflow_query_reject_condition,
            header_codec_behavior=header_codec_behavior,
        )
        self._given = config.copy()
        for plugin in plugins:
            config = plugin.configure_client(config)
        self._active = config
        known = cast("dict[str, Any]", config)
        self._facts = _Facts(
            known["service_client"],
            known["namespace"],
            known["data_converter"],
            known["plugins"],
            known["interceptors"],
            known["default_workflow_query_reject_condition"],
            known["header_codec_behavior"],
        )
        self._codec = codec_of(self._facts.data_converter)
        sealing = self._facts.data_converter.payload_codec
        self._codecs: AnyCodec = self._codec if sealing is None else [self._codec, Sealing(sealing)]
        self._engine: EngineClient | None = None
        chain: OutboundInterceptor = self.root()
        for each in reversed(self._facts.interceptors):
            chain = each.intercept_client(chain)
        self._chain = chain

    @classmethod
    async def connect(
        cls,
        target_host: str,
        *,
        namespace: str = "default",
        api_key: str | None = None,
        data_converter: DataConverter = DataConverter.default,
        plugins: Sequence[Plugin] = [],
        interceptors: Sequence[Interceptor] = [],
        default_workflow_query_reject_condition: QueryRejectCondition | None = None,
        tls: bool | TLSConfig | None = None,
        retry_config: RetryConfig | None = None,
        keep_alive_config: KeepAliveConfig | None = KeepAliveConfig(),  # noqa: B008
        connect_timeout: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        identity: str | None = None,
        lazy: bool = False,
        runtime: Runtime | None = None,
        http_connect_proxy_config: HttpConnectProxyConfig | None = None,
        dns_load_balancing_config: DnsLoadBalancingConfig | None = None,
        grpc_compression: GrpcCompression | None = None,
        payload_limits: PayloadLimitsConfig = PayloadLimitsConfig(),  # noqa: B008
        header_codec_behavior: HeaderCodecBehavior = HeaderCodecBehavior.NO_CODEC,
    ) -> Self:
        """Connect to a database.

        `target_host` is a Postgres URL. Any other address, such as "localhost:7233", means the environment variable
        MEMFLOW_DSN, else the project's embedded Postgres. What is about TLS and gRPC has no effect.

        Raises:
            RuntimeError: there is no answer within `connect_timeout`.
            ConfigurationError: no database is named anywhere.
            DatabaseError: Postgres cannot be reached or refuses.
        """
        config = ConnectConfig(
            target_host=target_host,
            api_key=api_key,
            tls=tls,
            retry_config=retry_config,
            keep_alive_config=keep_alive_config,
            rpc_metadata=rpc_metadata,
            identity=identity or "",
            lazy=lazy,
            runtime=runtime,
            http_connect_proxy_config=http_connect_proxy_config,
            dns_load_balancing_config=dns_load_balancing_config,
            grpc_compression=grpc_compression,
            payload_limits=payload_limits,
            connect_timeout=connect_timeout,
            namespace=namespace,
        )

        connect: Connect = ServiceClient.connect
        for plugin in reversed(plugins):
            connect = _through(plugin, connect)
        return cls(
            await connect(config),
            namespace=namespace,
            data_converter=data_converter,
            plugins=plugins,
            interceptors=interceptors,
            default_workflow_query_reject_condition=default_workflow_query_reject_condition,
            header_codec_behavior=header_codec_behavior,
        )

    @classmethod
    def from_memflow(cls, client: EngineClient, **config: Any) -> Self:
        """A client over one of memflow's, on its database. `config` as for `Client`. memflow's own addition."""
        service = ServiceClient(ConnectConfig("", identity=client.identity, namespace=client.namespace), client)
        return cls(service, namespace=client.namespace, **config)

    def config(self, *, active_config: bool = False) -> ClientConfig:
        """What this client was made of; with `active_config` as its plugins have changed it."""
        config = self._active.copy() if active_config else self._given.copy()
        config["interceptors"] = list(config.get("interceptors", ()))
        config["plugins"] = list(config.get("plugins", ()))
        return config

    # ------------------------------------------------------------------------------------------------- parts

    @property
    def service_client(self) -> ServiceClient:
        """The way to the database."""
        return self._facts.service_client

    @property
    def namespace(self) -> str:
        """The namespace this client works in."""
        return self._facts.namespace

    @property
    def identity(self) -> str:
        """Who this process is, for people."""
        return self._facts.service_client.config.identity

    @property
    def data_converter(self) -> DataConverter:
        """How values become payloads."""
        return self._facts.data_converter

    @property
    def rpc_metadata(self) -> Mapping[str, str | bytes]:
        """Accepted, without effect."""
        return self._facts.service_client.config.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, value: Mapping[str, str | bytes]) -> None:
        self._facts.service_client.update_rpc_metadata(value)

    @property
    def api_key(self) -> str | None:
        """Accepted, without effect."""
        return self._facts.service_client.config.api_key

    @api_key.setter
    def api_key(self, value: str | None) -> None:
        self._facts.service_client.update_api_key(value)

    @property
    def codec(self) -> ConvertingCodec:
        """The data converter as memflow's codec."""
        return self._codec

    @property
    def chain(self) -> OutboundInterceptor:
        """The interceptors of this client, its own calls at their end."""
        return self._chain

    @property
    def default_query_reject_condition(self) -> QueryRejectCondition | None:
        """Which workflows do not answer queries."""
        return self._facts.query_reject_condition

    @property
    def interceptors(self) -> Sequence[Interceptor]:
        """The interceptors of this client."""
        return self._facts.interceptors

    @property
    def plugins(self) -> Sequence[Plugin]:
        """The plugins of this client."""
        return self._facts.plugins

    async def engine(self) -> EngineClient:
        """memflow's client beneath; connects if nobody has yet."""
        if self._engine is None:
            store = await self._facts.service_client.store()
            if self._engine is None:             # another task may have been here meanwhile
                self._engine = self._facts.service_client.client_over(store, self._codecs)
        return self._engine

    async def close(self) -> None:
        """Let go of Postgres, for every client made from this one's configuration. memflow's own addition: a program that ends
        need not call it."""
        await self._facts.service_client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------------------------------------- workflows

    @overload
    async def start_workflow(
        self, workflow: Callable[[S], Awaitable[R]], *, id: str, task_queue: str, **options: Unpack[StartOptions]
    ) -> WorkflowHandle[S, R]: ...
    @overload
    async def start_workflow(
        self, workflow: Callable[[S, P], Awaitable[R]], arg: P, *, id: str, task_queue: str, **options: Unpack[StartOptions]
    ) -> WorkflowHandle[S, R]: ...
    @overload
    async def start_workflow(
        self,
        workflow: Callable[..., Awaitable[R]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[StartOptions],
    ) -> WorkflowHandle[Any, R]: ...
    @overload
    async def start_workflow(
        self,
        workflow: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        id: str,
        task_queue: str,
        result_type: type | None = None,
        **options: Unpack[StartOptions],
    ) -> WorkflowHandle[Any, Any]: ...
    @with_options({**_NAMED, **START_OPTIONS}, "id", "task_queue")
    async def start_workflow(self, workflow: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
        """Start a workflow and return a handle on it, once Postgres has it.

        Raises:
            WorkflowAlreadyStartedError: the id is taken, by the rules of the id policies.
            RPCError: the call failed.
        """
        return await self._chain.start_workflow(start_input(workflow, arg, args, options))

    @overload
    async def execute_workflow(
        self, workflow: Callable[[S], Awaitable[R]], *, id: str, task_queue: str, **options: Unpack[StartOptions]
    ) -> R: ...
    @overload
    async def execute_workflow(
        self, workflow: Callable[[S, P], Awaitable[R]], arg: P, *, id: str, task_queue: str, **options: Unpack[StartOptions]
    ) -> R: ...
    @overload
    async def execute_workflow(
        self,
        workflow: Callable[..., Awaitable[R]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[StartOptions],
    ) -> R: ...
    @overload
    async def execute_workflow(
        self,
        workflow: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        id: str,
        task_queue: str,
        result_type: type | None = None,
        **options: Unpack[StartOptions],
    ) -> Any: ...
    @with_options({**_NAMED, **START_OPTIONS}, "id", "task_queue")
    async def execute_workflow(self, workflow: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
        """Start a workflow and wait for its result.

        Raises:
            WorkflowFailureError: it did not complete; `cause` says why.
            WorkflowAlreadyStartedError, RPCError: as for `start_workflow`.
        """
        input = start_input(workflow, arg, args, options)
        handle = await self._chain.start_workflow(input)
        return await handle.result()

    def get_workflow_handle(
        self,
        workflow_id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: type | None = None,
    ) -> WorkflowHandle[Any, Any]:
        """A handle on a workflow that was started before. Asks nobody."""
        return WorkflowHandle(
            cast("Any", self),
            workflow_id,
            run_id=run_id,
            result_run_id=run_id,
            first_execution_run_id=first_execution_run_id,
            result_type=result_type,
        )

    @overload
    def get_workflow_handle_for(
        self,
        workflow: Callable[[S], Awaitable[R]],
        workflow_id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> WorkflowHandle[S, R]: ...
    @overload
    def get_workflow_handle_for(
        self,
        workflow: Callable[Concatenate[S, ...], Awaitable[R]],
        workflow_id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> WorkflowHandle[S, R]: ...
    def get_workflow_handle_for(
        self, workflow: Any, workflow_id: str, *, run_id: str | None = None, first_execution_run_id: str | None = None
    ) -> Any:
        """The same, typed by its run method."""
        _, ret_type = name_and_result_type(workflow)
        return self.get_workflow_handle(
            workflow_id, run_id=run_id, first_execution_run_id=first_execution_run_id, result_type=ret_type
        )

    def list_workflows(
        self,
        query: str | None = None,
        *,
        limit: int | None = None,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowExecutionAsyncIterator:
        """The workflows that match, read as they are asked for: `WorkflowType = 'x' AND ExecutionStatus = 'Running'`."""
        return self._chain.list_workflows(
            ListWorkflowsInput(query, page_size, next_page_token, rpc_metadata, rpc_timeout, limit)
        )

    async def count_workflows(
        self,
        query: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowExecutionCount:
        """How many workflows match; with `GROUP BY ExecutionStatus` for each status."""
        return await self._chain.count_workflows(CountWorkflowsInput(query, rpc_metadata, rpc_timeout))


def _through(plugin: Plugin, connect: Connect) -> Connect:
    return lambda config: plugin.connect_service_client(config, connect)
