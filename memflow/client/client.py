"""The client: how an application reaches its workflows. Opens the store, and is the way to everything else in this folder."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from memflow.client.codecs import AnyCodec, codecs_of
from memflow.client.escalations import Escalations
from memflow.client.events import Events
from memflow.client.handle import Handle
from memflow.client.intercepting import checked, outbound_of
from memflow.client.link import Link
from memflow.client.pending import PendingActivityHandle, activity_key
from memflow.client.schedules import Schedules
from memflow.client.standalone import Activities
from memflow.client.workflows import Workflows
from memflow.codec import Codec
from memflow.duration import Duration
from memflow.errors import ConfigurationError
from memflow.interceptors import ClientInterceptor, SignalInput, WorkerInterceptor
from memflow.names import DEFAULT_NAMESPACE, check_name
from memflow.store.base import Store
from memflow.store.postgres import PostgresStore
from memflow.store.sealed import SealedStore

DSN_VARIABLE = "MEMFLOW_DSN"

_ATTRIBUTES = frozenset(
    {"workflow", "activity", "schedule", "escalations", "events", "store", "signal", "get_handle", "close", "codec", "namespace"}
)

_NO_DATABASE = (
    'no database: give one of Client.connect("postgresql://user@host/database"), the environment variable MEMFLOW_DSN,'
    " or `pip install 'memflow[dev]'` for an embedded Postgres of this project"
)


class Client:
    """A connection to one namespace of a memflow database. Made by `connect`; belongs to the event loop that made it.

        async with Client.connect("postgresql://app@db/app") as client:
            handle = await client.workflow.start(order_workflow, "item-123", 5, task_queue="orders")
            print(await handle.result())

    or `client = await Client.connect(...)` with `await client.close()` in the end.
    """

    def __init__(
        self,
        store: Store,
        *,
        codec: AnyCodec | None = None,
        identity: str | None = None,
        interceptors: Sequence[ClientInterceptor | WorkerInterceptor] = (),
    ) -> None:
        """Over a store that is open already. Applications use `connect`."""
        if isinstance(store, str) or not hasattr(store, "start_runs"):
            raise ConfigurationError(
                "a client is made by `await Client.connect(...)` or `async with Client.connect(...) as client`"
            )
        values, payloads = codecs_of(codec)
        self._link = Link(SealedStore(store, payloads) if payloads is not None else store, values)
        self._identity = identity or f"{os.getpid()}@{socket.gethostname()}"
        self._workflows = Workflows(self._link)
        self._events = Events(self._link)
        self._interceptors = checked(interceptors)
        self._link.outbound = outbound_of(self, self._link, self._interceptors)
        self._schedules = Schedules(self._link)
        self._escalations = Escalations(self._link)
        self._owned: list[Callable[[], None]] = []

    @classmethod
    def connect(
        cls,
        dsn: str | None = None,
        *,
        pool: Any = None,
        namespace: str = DEFAULT_NAMESPACE,
        schema: str = "memflow",
        codec: AnyCodec | None = None,
        interceptors: Sequence[ClientInterceptor | WorkerInterceptor] = (),
        migrate: bool = True,
        listen_dsn: str | None = None,
        identity: str | None = None,
    ) -> Connecting:
        """Open a client: `await` it, or enter it with `async with`.

        `dsn` None means the environment variable MEMFLOW_DSN, else the project's embedded Postgres (extra `dev`). `pool`,
        an asyncpg pool of yours, is used instead and left open by `close`. The schema is installed or upgraded under a
        lock; `migrate=False` refuses an older one instead. `listen_dsn` leads around a pooler such as PgBouncer, through
        which notices cannot be heard. `codec` is a payload codec (`Encryption(...)`, `Compression()`, your own) or a list of
        them, the first nearest to the value, the last nearest to Postgres; a value codec in place of `JsonCodec` may be given
        too. Workers made from this client use the same. `interceptors` see every call, the first is the outermost; those that
        are worker interceptors too apply to the workers made from this client. `identity` names this process to people.

        Raises (when awaited):
            ConfigurationError: no database is named, or an option cannot work.
            DatabaseError: Postgres cannot be reached or refuses; the message never holds the password.
            SchemaError: the schema is newer than this library, or older and `migrate` is False.
        """

        async def opened() -> Client:
            if dsn is not None and pool is not None:
                raise ConfigurationError("give either a DSN or a pool, not both")
            check_name(namespace, what="namespace")
            checked(interceptors)
            codecs_of(codec)                             # refused before anything is opened
            stop: Callable[[], None] | None = None
            found = dsn
            if pool is None and found is None:
                found, stop = await _found_database()
            try:
                store = await _opened_store(
                    found, pool=pool, namespace=namespace, schema=schema, listen_dsn=listen_dsn, migrate=migrate
                )
            except BaseException:
                if stop is not None:
                    await asyncio.to_thread(stop)
                raise
            client = cls(store, codec=codec, identity=identity, interceptors=interceptors)
            if stop is not None:
                client._owned.append(stop)
            return client

        return Connecting(opened)

    # -- parts

    @property
    def workflow(self) -> Workflows:
        """Start workflows, get handles on them, list and count them."""
        return self._workflows

    @property
    def activity(self) -> Activities:
        """Start activities without a workflow, get handles on them, list and count them."""
        return Activities(self._link)

    @property
    def events(self) -> Events:
        """Subscribe to what workflows emit."""
        return self._events

    @property
    def schedule(self) -> Schedules:
        """Start workflows by the clock: create schedules, get handles on them, list them."""
        return self._schedules

    @property
    def escalations(self) -> Escalations:
        """What workflows ask people: list, claim, resolve."""
        return self._escalations

    @property
    def store(self) -> Store:
        """The store, for workers and features built on this client.

        Raises:
            ConfigurationError: the client is closed.
        """
        return self._link.store

    @property
    def codec(self) -> Codec:
        """How values become bytes."""
        return self._link.codec

    @property
    def interceptors(self) -> Sequence[ClientInterceptor | WorkerInterceptor]:
        """The interceptors it was given, the outermost first."""
        return self._interceptors

    @property
    def namespace(self) -> str:
        """The namespace this client works in."""
        return self._link.namespace

    @property
    def identity(self) -> str:
        """Who this process is, for people: by default process and host."""
        return self._identity

    # -- short ways

    def get_handle(self, id: str, run_id: str | None = None, result_type: Any = None) -> Handle[Any]:
        """The same as `client.workflow.get_handle`."""
        handle: Handle[Any] = self._workflows.get_handle(id, run_id, result_type=result_type)
        return handle

    def get_activity_handle(
        self,
        task_token: bytes | str | None = None,
        *,
        workflow_id: str | None = None,
        run_id: str | None = None,
        activity_id: str | int | None = None,
    ) -> PendingActivityHandle:
        """A handle on a pending activity, to complete it from outside or to act on it as an operator. Asks nobody.

        By the `task_token` of one attempt (`activity.info().task_token`), or by `workflow_id` and `activity_id`, which is the
        `activity_id=` of the call, else the number of the operation as `describe()` shows it.

        Raises:
            ConfigurationError: neither is given, or it cannot be one.
        """
        return PendingActivityHandle(self._link, activity_key(task_token, workflow_id, run_id, activity_id))

    async def signal(
        self,
        signal_id: str,
        payload: Any = None,
        *,
        expire: Duration | None = None,
        request_id: str | None = None,
        connection: Any = None,
    ) -> None:
        """Wake whoever waits for `signal_id`, in whichever run; kept for the first who will, if nobody does.

        Several waiters get one signal each, in the order they began to wait. `expire` bounds how long an early one is
        kept. A repeat with the same `request_id` counts once. `connection` (asyncpg, inside a transaction) sends it if and
        only if the caller commits.

        Raises:
            ConfigurationError: this cannot be a signal id, or the client is closed.
            PayloadError: the payload cannot be stored.
            OutcomeUnknownError: the connection broke meanwhile; with a `request_id` a repeat is safe.
        """
        if self._link.outbound is None:
            await self._link.give(signal_id, payload, expire, request_id, connection)
        else:
            await self._link.outbound.signal(SignalInput(signal_id, payload, Any, expire, request_id, connection))

    # -- life

    async def close(self) -> None:
        """See off what is on its way, end subscriptions, tell those who wait for results, and let go of Postgres."""
        await self._events.close()
        await self._link.close()
        while self._owned:
            await asyncio.to_thread(self._owned.pop())

    async def __aenter__(self) -> Self:
        self._link.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class Connecting:
    """A client that is not open yet: `await` it, or enter it with `async with`."""

    def __init__(self, opened: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        self._opened = opened
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._opened().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    if not TYPE_CHECKING:  # for checkers the attribute does not exist, which is the better error

        def __getattr__(self, name: str) -> NoReturn:
            if name in _ATTRIBUTES:
                raise ConfigurationError(
                    f"the client is not connected yet, so it has no `{name}`: write `client = await Client.connect(...)`"
                    " or `async with Client.connect(...) as client:`"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


async def _opened_store(
    dsn: str | None, *, pool: Any, namespace: str, schema: str, listen_dsn: str | None, migrate: bool
) -> PostgresStore:
    store = await PostgresStore.connect(dsn, pool=pool, namespace=namespace, schema=schema, listen_dsn=listen_dsn)
    try:
        await (store.migrate() if migrate else store.check_schema())
    except BaseException:
        await store.close()
        raise
    return store


async def _found_database() -> tuple[str, Callable[[], None] | None]:
    """The DSN of the environment, else of the project's embedded Postgres with how to let go of it."""
    dsn = os.environ.get(DSN_VARIABLE)
    if dsn:
        return dsn, None
    from memflow.embedded import start  # here: who has a DSN need not pay for loading it

    try:
        server = await asyncio.to_thread(start)
    except ConfigurationError as error:
        raise ConfigurationError(f"{_NO_DATABASE}; the embedded one cannot start: {error}") from error
    return server.dsn, server.close
