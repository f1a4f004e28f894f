"""The way to the service: for memflow, a Postgres database. What is about TLS and gRPC is accepted and has no effect."""

from __future__ import annotations

import asyncio
import os
import socket
from abc import ABC
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Final

from memflow.client import Client as EngineClient
from memflow.client.codecs import AnyCodec
from memflow.store.base import Store
from memflow.temporal.exceptions import TemporalError
from memflow.temporal.missing import not_offered
from memflow.temporal.runtime import Runtime
from memflow.worker.worker import Worker as EngineWorker

__all__ = [
    "ConnectConfig",
    "DnsLoadBalancingConfig",
    "GrpcCompression",
    "HttpConnectProxyConfig",
    "KeepAliveConfig",
    "PayloadLimitsConfig",
    "RPCError",
    "RPCStatusCode",
    "RetryConfig",
    "ServiceClient",
    "TLSConfig",
    "__version__",
]

def _version() -> str:
    try:
        return version("memflow")
    except PackageNotFoundError:                 # run from its source
        return "unknown"


__version__: Final = _version()

LONG_HISTORY: Final = 4096
"""Events of a history from which on `info().is_continue_as_new_suggested()` says so, as on Temporal's servers."""

_NO_RPC = "there is no gRPC service; use the methods of Client, or SQL on memflow's views"
__getattr__ = not_offered(
    __name__,
    {
        "WorkflowService": _NO_RPC,
        "OperatorService": _NO_RPC,
        "CloudService": _NO_RPC,
        "TestService": _NO_RPC,
        "HealthService": _NO_RPC,
        "ServiceCall": _NO_RPC,
    },
)


class RPCStatusCode(IntEnum):
    """What kind of trouble it was."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RPCError(TemporalError):
    """A call failed: nothing of that id, the service cannot be reached, the time was up, ..."""

    def __init__(self, message: str, status: RPCStatusCode, raw_grpc_status: bytes = b"") -> None:
        super().__init__(message)
        self._message = message
        self._status = status
        self._raw_grpc_status = raw_grpc_status

    @property
    def message(self) -> str:
        """What happened."""
        return self._message

    @property
    def status(self) -> RPCStatusCode:
        """What kind of trouble it was."""
        return self._status

    @property
    def raw_grpc_status(self) -> bytes:
        """Empty: there is no gRPC."""
        return self._raw_grpc_status

    @property
    def grpc_status(self) -> None:
        """None: there is no gRPC."""
        return None


@dataclass
class TLSConfig:
    """Accepted; say `sslmode` in the Postgres URL instead."""

    server_root_ca_cert: bytes | None = None
    domain: str | None = None
    client_cert: bytes | None = None
    client_private_key: bytes | None = None
    verification_server_name: str | None = None


@dataclass
class RetryConfig:
    """Accepted; memflow retries what is safe to repeat."""

    initial_interval_millis: int = 100
    randomization_factor: float = 0.2
    multiplier: float = 1.5
    max_interval_millis: int = 5000
    max_elapsed_time_millis: int | None = 10000
    max_retries: int = 10


@dataclass(frozen=True)
class KeepAliveConfig:
    """Accepted, without effect."""

    interval_millis: int = 30000
    timeout_millis: int = 15000
    default: ClassVar[KeepAliveConfig]


KeepAliveConfig.default = KeepAliveConfig()


@dataclass(frozen=True)
class HttpConnectProxyConfig:
    """Accepted, without effect."""

    target_host: str
    basic_auth: tuple[str, str] | None = None


@dataclass(frozen=True)
class DnsLoadBalancingConfig:
    """Accepted, without effect."""

    resolution_interval_millis: int = 30000
    default: ClassVar[DnsLoadBalancingConfig]


DnsLoadBalancingConfig.default = DnsLoadBalancingConfig()


class GrpcCompression(ABC):
    """Accepted, without effect."""

    NONE: ClassVar[GrpcCompression]
    GZIP: ClassVar[GrpcCompression]


class _Compression(GrpcCompression):
    """Any of them."""


GrpcCompression.NONE = _Compression()
GrpcCompression.GZIP = _Compression()


@dataclass(frozen=True)
class PayloadLimitsConfig:
    """Accepted; memflow warns from 256 KiB on."""

    payloads_warn_size: int = 512 * 1024
    memo_warn_size: int = 2 * 1024


@dataclass
class ConnectConfig:
    """How to reach the service."""

    target_host: str
    api_key: str | None = None
    tls: bool | TLSConfig | None = None
    retry_config: RetryConfig | None = None
    keep_alive_config: KeepAliveConfig | None = field(default_factory=KeepAliveConfig)
    rpc_metadata: Mapping[str, str | bytes] = field(default_factory=dict[str, str | bytes])
    identity: str = ""
    lazy: bool = False
    runtime: Runtime | None = None
    http_connect_proxy_config: HttpConnectProxyConfig | None = None
    dns_load_balancing_config: DnsLoadBalancingConfig | None = None
    grpc_compression: GrpcCompression | None = None
    payload_limits: PayloadLimitsConfig = field(default_factory=PayloadLimitsConfig)
    connect_timeout: timedelta | None = None
    namespace: str = "default"

    def __post_init__(self) -> None:
        self.identity = self.identity or f"{os.getpid()}@{socket.gethostname()}"

    @property
    def dsn(self) -> str | None:
        """The Postgres URL; None for an address that is none, which means MEMFLOW_DSN, else the embedded Postgres."""
        return self.target_host if self.target_host.startswith(("postgres://", "postgresql://")) else None


class ServiceClient:
    """One way to one namespace of a database. Several clients may share it."""

    long_history: int = LONG_HISTORY
    """Events from which on workflows are advised to continue as new."""

    def __init__(self, config: ConnectConfig, engine: EngineClient | None = None) -> None:
        self.config = config
        self._first = engine
        self._process = os.getpid()
        self._opening: asyncio.Lock | None = None
        self._others: list[EngineClient] = []
        self._served: Counter[str] = Counter()

    def serves(self, task_queue: str) -> bool:
        """Whether a worker of this way runs workflows of that queue, here and now."""
        return self._served[task_queue] > 0

    @contextmanager
    def serving(self, task_queue: str) -> Generator[None]:
        """Inside, a worker does."""
        self._served[task_queue] += 1
        try:
            yield
        finally:
            self._served[task_queue] -= 1

    @staticmethod
    async def connect(config: ConnectConfig) -> ServiceClient:
        """Connect now, unless the configuration says `lazy`."""
        made = ServiceClient(config)
        if not config.lazy:
            await made.store()
        return made

    async def store(self) -> Store:
        """The database; connects if nobody has yet.

        Raises:
            AssertionError: it was connected by another process.
        """
        self.check_process("use client")
        if self._first is None:
            if self._opening is None:
                self._opening = asyncio.Lock()
            async with self._opening:
                if self._first is None:
                    self._first = await self._connect()
        return self._first.store

    def check_process(self, action: str) -> None:
        """Refuse what a forked process would do on its parent's connections, and so break for both.

        Raises:
            AssertionError: this is another process.
        """
        here = os.getpid()
        if here != self._process and self._first is not None:
            raise AssertionError(f"Cannot {action} across forks (original runtime PID is {self._process}, current is {here})")
        self._process = here

    async def _connect(self) -> EngineClient:
        config = self.config
        timeout = None if config.connect_timeout is None else config.connect_timeout.total_seconds()
        try:
            async with asyncio.timeout(timeout):
                return await EngineClient.connect(config.dsn, namespace=config.namespace, identity=config.identity)
        except TimeoutError as late:
            raise RuntimeError(f"Failed client connect: no answer within {timeout:g} s") from late

    def client_over(self, store: Store, codec: AnyCodec) -> EngineClient:
        """A client of memflow's with a codec of its own."""
        made = EngineClient(store, codec=codec, identity=self.config.identity)
        self._others.append(made)
        return made

    def worker(self, client: EngineClient, **options: Any) -> EngineWorker:
        """A worker of memflow's."""
        return EngineWorker(client, **options)

    async def check_health(
        self,
        *,
        service: str = "",
        retry: bool = False,
        metadata: Mapping[str, str | bytes] = {},
        timeout: timedelta | None = None,
    ) -> bool:
        """Whether the database answers."""
        await (await self.store()).now()
        return True

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Accepted, without effect."""
        self.config.rpc_metadata = metadata

    def update_api_key(self, api_key: str | None) -> None:
        """Accepted, without effect: a Postgres URL has its password."""
        self.config.api_key = api_key

    @property
    def worker_service_client(self) -> Any:
        """This one: workers use the same way."""
        return self

    async def close(self) -> None:
        """Let go of Postgres, for every client that shares this."""
        while self._others:
            await self._others.pop().close()
        if self._first is not None:
            await self._first.close()
