"""`client.activity`: activities without a workflow: started by a client, run by any worker that knows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, TypeVar, TypeVarTuple, Unpack, cast, overload

from memflow.client.describe import RunSummary
from memflow.client.link import Link
from memflow.client.standalone_handle import ActivityHandle
from memflow.client.starting import OnConflict, Reuse, new_run
from memflow.client.values import check_headers
from memflow.client.workflows import Workflows
from memflow.core.options_json import activity_options_to_json
from memflow.duration import Duration
from memflow.errors import ActivityAlreadyStartedError, ConfigurationError
from memflow.interceptors import StartStandaloneActivityInput
from memflow.names import DEFAULT_QUEUE, check_name, new_id
from memflow.options import CancellationType
from memflow.retry import RetryPolicy
from memflow.scheduling import ActivityKeywords, activity_call, refuse_unknown
from memflow.workflow import standalone
from memflow.workflow.activities import as_activity

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")


class ActivityStartOptions(TypedDict, total=False):
    """How a standalone activity is started. Durations are a timedelta, text or seconds."""

    id: str | None
    """Its id; by default a new one. At most one pending activity has it. Ids of workflows are others."""
    task_queue: str
    """The queue whose workers run it; by default as declared, else "default"."""
    start_to_close_timeout: Duration | None
    schedule_to_close_timeout: Duration | None
    schedule_to_start_timeout: Duration | None
    heartbeat_timeout: Duration | None
    retry: RetryPolicy | None
    on_conflict: OnConflict
    """If an activity with this id is pending: `fail` (the default), `use_existing`, or `terminate_existing` and start anew."""
    reuse: Reuse
    """If an activity with this id has ended: `allow` (the default) a new one, only if it `failed_only`, or `reject`."""
    request_id: str | None
    """A start repeated with the same request id answers with the activity that it made the first time."""
    start_delay: Duration | None
    """Not to begin before this long from now."""
    expire: Duration | None
    """How long after its end it is kept; by default for good."""
    search: Mapping[str, Any] | None
    """Fields of its searchable record."""
    memo: Mapping[str, Any] | None
    """Facts kept with it, shown but not searched."""
    headers: Mapping[str, str] | None
    """Text that the activity finds in `activity.info().headers`."""
    priority: int
    """Those of a higher priority are taken first; 0 by default."""
    connection: Any
    """An asyncpg connection inside a transaction: it starts if and only if that commits."""


_OF_THE_ACTIVITY = frozenset(
    (
        *("task_queue", "start_to_close_timeout", "schedule_to_close_timeout", "schedule_to_start_timeout"),
        *("heartbeat_timeout", "retry"),
    )
)
_OF_THE_RUN = frozenset(ActivityStartOptions.__annotations__) - _OF_THE_ACTIVITY - {"id", "connection"}


class Activities:
    """The standalone activities of a client's namespace."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @overload
    async def start(
        self,
        activity: str,
        *arguments: Any,
        args: Sequence[Any] | None = ...,
        result_type: type[R],
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start(
        self, activity: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[ActivityStartOptions]
    ) -> ActivityHandle[Any]: ...
    @overload
    async def start(
        self, activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> ActivityHandle[R]: ...
    @overload
    async def start(
        self, activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> ActivityHandle[R]: ...
    @overload
    async def start(
        self, activity: Callable[[*Ts], R], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> ActivityHandle[R]: ...
    async def start(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
        self, activity: Any, *arguments: Any, args: Sequence[Any] | None = None, result_type: Any = None, **options: Any
    ) -> Any:
        """Start an activity and return a handle on it, once Postgres has it. No worker need be there.

        `activity` is a function or method, decorated or not, or a name (then `args=[...]` may hold the arguments, and
        `result_type` says how to read the result). The options are those of `ActivityStartOptions`.

        Raises:
            ActivityAlreadyStartedError: the id is taken, by the rules of `on_conflict` and `reuse`.
            ConfigurationError: an option cannot work; the message says what is allowed.
            PayloadError: an argument is not of its declared type, or cannot be stored; names the path in it.
            TypeError: too few or too many arguments.
            OutcomeUnknownError: nobody knows whether it started; repeat it with the same `id` or `request_id`.
        """
        refuse_unknown(options, ActivityStartOptions.__annotations__, "a standalone activity")
        if args is not None:
            if arguments:
                raise ConfigurationError("start: give the arguments one by one or as args=[...], not both")
            arguments = tuple(args)
        if self._link.outbound is None:
            return await self.begin(activity, arguments, result_type, options)
        known = None if isinstance(activity, str) else as_activity(activity)
        queue = options.get("task_queue")
        rest = {name: value for name, value in options.items() if name not in ("id", "task_queue", "headers")}
        return await self._link.outbound.start_activity(
            StartStandaloneActivityInput(
                check_name(activity, what="activity name") if known is None else known.name,
                arguments,
                options.get("id"),
                queue,
                check_headers(options.get("headers")),
                rest,
                activity,
                result_type,
            )
        )

    async def begin(
        self, activity: Any, arguments: Sequence[Any], result_type: Any, options: Mapping[str, Any]
    ) -> ActivityHandle[Any]:
        """`start`, behind interceptors."""
        codec = self._link.codec
        keywords = cast("ActivityKeywords", {name: value for name, value in options.items() if name in _OF_THE_ACTIVITY})
        if isinstance(activity, str):
            call, hint = activity_call(activity, keywords), Any if result_type is None else result_type
            input = codec.encode_arguments(arguments, ())
        else:
            call, parameters, (types, declared) = as_activity(activity).prepare(keywords)
            hint = declared if result_type is None else result_type
            input = codec.encode_arguments(parameters.bind(arguments, {}), types)
        named = options.get("id")
        id = new_id() if named is None else check_name(named, what="activity id")
        queue = call.options.task_queue or DEFAULT_QUEUE
        how = replace(
            call.options,
            task_queue=queue,
            activity_id=id,
            # The run ends with what the activity makes of its cancellation.
            cancellation_type=CancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        of_the_run = {name: value for name, value in options.items() if name in _OF_THE_RUN}
        run = new_run(
            self._link,
            standalone.TYPE + call.name,
            None,
            (codec.decode(input), activity_options_to_json(how)),
            {
                **of_the_run,
                "headers": {**call.headers, **(options.get("headers") or {})},
                "id": check_name(standalone.ID + id, what="activity id"),
                "task_queue": check_name(standalone.run_queue(queue), what="task queue"),
            },
        )
        started = await self._link.start(run, options.get("connection"))
        if started.conflict is not None:
            reason = started.conflict.replace("a run", "an activity")
            raise ActivityAlreadyStartedError(id, activity=call.name, run_id=started.run_id, reason=reason)
        return ActivityHandle[Any](self._link, id, run_id=started.run_id, result_type=hint, run=started.run)

    @overload
    async def execute(
        self,
        activity: str,
        *arguments: Any,
        args: Sequence[Any] | None = ...,
        result_type: type[R],
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute(
        self, activity: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[ActivityStartOptions]
    ) -> Any: ...
    @overload
    async def execute(
        self, activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> R: ...
    @overload
    async def execute(
        self, activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> R: ...
    @overload
    async def execute(
        self, activity: Callable[[*Ts], R], *arguments: *Ts, **options: Unpack[ActivityStartOptions]
    ) -> R: ...
    async def execute(self, activity: Any, *arguments: Any, **options: Any) -> Any:  # type: ignore[misc]  # as for start
        """Start an activity and wait for its result: `start` and then `ActivityHandle.result`, with the errors of both.

        With `connection=` there is nothing to wait for before the caller commits: use `start`.
        """
        if options.get("connection") is not None:
            raise TypeError("execute() cannot wait inside the caller's transaction: start(connection=...), commit, then result()")
        handle: ActivityHandle[Any] = await self.start(activity, *arguments, **options)
        return await handle.result()

    @overload
    def get_handle(self, id: str, run_id: str | None = ...) -> ActivityHandle[Any]: ...
    @overload
    def get_handle(self, id: str, run_id: str | None = ..., *, result_type: type[R]) -> ActivityHandle[R]: ...
    def get_handle(self, id: str, run_id: str | None = None, *, result_type: Any = None) -> Any:
        """A handle on an activity that was started before. Asks nobody: a missing one shows on use.

        Raises:
            ConfigurationError: this cannot be an id.
        """
        check_name(id, what="activity id")
        if run_id is not None:
            check_name(run_id, what="run id")
        return ActivityHandle[Any](self._link, id, run_id=run_id, result_type=Any if result_type is None else result_type)

    async def list(self, where: str | None = None, *, limit: int | None = None) -> AsyncIterator[RunSummary]:
        """The activities that match, newest first, as the runs they are: `type` is "activity:" and the name.

        `where` is the filter language of `client.workflow.list`.

        Raises:
            ConfigurationError: the filter cannot be read.
        """
        left = limit
        async for run in Workflows(self._link).list(_and_is_an_activity(where), limit=None):
            if left is not None and left <= 0:
                return
            if standalone.activity_of(run.type) is not None:
                left = None if left is None else left - 1
                yield run

    async def count(self, where: str | None = None) -> int:
        """How many activities match.

        Raises:
            ConfigurationError: the filter cannot be read.
        """
        return await Workflows(self._link).count(_and_is_an_activity(where))


def _and_is_an_activity(where: str | None) -> str:
    own = f'id ~ "{standalone.ID}" and type ~ "{standalone.TYPE}"'
    return own if where is None or not where.strip() else f"{own} and ({where})"
