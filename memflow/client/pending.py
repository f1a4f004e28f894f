"""A handle on one pending activity: complete it from outside, or act on it as an operator.

An activity that runs in memory alone has no row yet; it gets one within some 100 ms. Until then these calls wait for it.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from memflow.attempts import CancellationDetails
from memflow.client.link import Link
from memflow.client.values import encode_value
from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut, Arrival
from memflow.duration import Duration, to_timedelta
from memflow.errors import ActivityNotFoundError, AsyncActivityCancelledError, ConfigurationError, WorkflowNotFoundError
from memflow.failure import Failure, encode_failure, failure_of
from memflow.interceptors import ActOnActivityInput, OutboundClient
from memflow.judging import judge_attempt
from memflow.names import check_name, read_task_token
from memflow.options import ActivityOptions
from memflow.retry import RetryPolicy, retry_policy
from memflow.scheduling import time_limit
from memflow.store.turns import ActivityKey, ActOnActivity, FoundActivity

APPEARS_WITHIN_SECONDS = 5.0
"""How long an activity may take to get its row: 100 ms in memory, and a commit, on a worker that may be busy."""

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound="PendingActivityHandle")

KEEP: Final = object()
"""An option that is left as it is."""


def _intercepted(
    verb: Callable[Concatenate[H, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[H, P], Coroutine[Any, Any, R]]:
    """Through the interceptors of the client, if there are any. `ActOnActivityInput` names the verb."""

    @functools.wraps(verb)
    async def call(handle: H, /, *args: P.args, **keywords: P.kwargs) -> R:
        outbound = handle.outbound
        if outbound is None:
            return await verb(handle, *args, **keywords)

        async def act(args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
            again = cast("Callable[..., Coroutine[Any, Any, R]]", verb)   # an interceptor may have changed them
            return await again(handle, *args, **keywords)

        key = handle.key
        found: R = await outbound.act_on_activity(
            ActOnActivityInput(verb.__name__, key.workflow_id, key.run_id, key.activity_id, args, keywords, act)
        )
        return found

    return call


class PendingActivityHandle:
    """One activity that was asked for and has not ended. Made by `client.get_activity_handle`; asks nobody before its first call.

    By workflow and activity id it means the activity, whichever attempt it is at; by task token exactly that attempt. Of several
    who end the same attempt one wins; the others get `ActivityNotFoundError`.
    """

    def __init__(self, link: Link, key: ActivityKey) -> None:
        self._link = link
        self._key = key

    @property
    def key(self) -> ActivityKey:
        """Which activity it is."""
        return self._key

    @property
    def outbound(self) -> OutboundClient | None:
        """What its calls go through."""
        return self._link.outbound

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._named()})"

    # -- completing from outside

    @_intercepted
    async def complete(self, result: Any = None) -> None:
        """End the activity with `result`, which its caller reads by the declared type.

        Raises:
            ActivityNotFoundError: it has ended, or this attempt has.
            WorkflowNotFoundError: there is no such workflow.
            PayloadError: the result cannot be stored.
            OutcomeUnknownError: the connection broke meanwhile; if a repeat finds nothing, it had worked.
        """
        payload = encode_value(result, self._link.codec)
        found = await self._found()
        await self._finish(found, ActivityCompleted(found.op, payload))

    @_intercepted
    async def fail(self, error: BaseException, last_heartbeat_details: Any = ()) -> None:
        """End this attempt with an error. As with an error raised in the activity, its retry policy says what follows.

        Raises:
            ConfigurationError: `error` is no exception.
            others as `complete`.
        """
        if not isinstance(cast("object", error), BaseException):
            raise ConfigurationError(f"fail: an exception is needed, such as ApplicationError('...'), not {error!r}")
        details = tuple(last_heartbeat_details)
        failure = failure_of(error, self._link.codec)
        found = await self._found()
        if details:
            await self._link.store.beat_activity(found, self._link.codec.encode(list(details)))
        await self._judge(found, failure)

    @_intercepted
    async def report_cancellation(self, *details: Any) -> None:
        """End the activity as cancelled, once that was asked for.

        Raises:
            ConfigurationError: nobody asked for it; use `fail`.
            others as `complete`.
        """
        encoded = self._link.codec.encode(list(details)) if details else None
        found = await self._found()
        if not (found.cancel_requested or await self._is_asked_to_end(found)):
            raise ConfigurationError(f"{self._named()}: nobody asked to cancel it; end it with fail()")
        await self._finish(found, ActivityCancelled(found.op, Failure("cancelled", "cancelled", details=encoded)))

    async def _is_asked_to_end(self, found: FoundActivity) -> bool:
        """Whether a cancellation is under way of which its row does not know yet."""
        return False

    @_intercepted
    async def heartbeat(self, *details: Any) -> None:
        """Say that the attempt goes on; `details` (plain JSON values) are kept for the next one.

        Raises:
            AsyncActivityCancelledError: it should not go on; `details` say why.
            others as `complete`.
        """
        encoded = self._link.codec.encode(list(details)) if details else None
        found = await self._found()
        answer = await self._link.store.beat_activity(found, encoded)
        if answer.lost:
            raise self._not_found("has ended, or begun another attempt")
        if answer.cancel_requested or answer.paused or answer.reset:
            why = CancellationDetails(cancel_requested=answer.cancel_requested, paused=answer.paused, reset=answer.reset)
            word = "cancelled" if answer.cancel_requested else "reset" if answer.reset else "paused"
            raise AsyncActivityCancelledError(f"{self._named()} was {word}", details=why)

    async def _judge(self, found: FoundActivity, failure: Failure) -> None:
        """The same verdict as a worker's on an attempt that failed there."""
        verdict: timedelta | Failure = timedelta()
        if not found.reset:
            verdict = judge_attempt(
                found.options,
                failure,
                name=found.name,
                id=found.activity_id,
                attempt=max(1, found.attempt),
                now=await self._link.store.now(),
                close_by=found.close_by,
            )
        if isinstance(verdict, Failure):
            ends = ActivityTimedOut if failure.kind == "timeout" else ActivityFailed
            await self._finish(found, ends(found.op, verdict))
        elif not await self._link.store.fail_attempt(found, verdict, encode_failure(failure), exact=self._exact):
            raise self._not_found("has ended meanwhile")

    async def _finish(self, found: FoundActivity, arrival: Arrival) -> None:
        if not await self._link.store.finish_activity(found, arrival, exact=self._exact):
            raise self._not_found("has ended meanwhile")

    @property
    def _exact(self) -> bool:
        """Whether one attempt is meant, and no other."""
        return self._key.token is not None

    # -- operators

    @_intercepted
    async def pause(self) -> None:
        """Let no further attempt begin. One that runs goes on; one that sends heartbeats is told to stop, and does not count.

        Raises:
            ActivityNotFoundError, WorkflowNotFoundError: as `complete`.
        """
        await self._act(ActOnActivity("pause"))

    @_intercepted
    async def resume(self, *, jitter: Duration | None = None) -> None:
        """Let attempts begin again: when the next one is due, and not before a random part of `jitter`. Also `unpause`.

        Raises:
            ActivityNotFoundError, WorkflowNotFoundError: as `complete`.
        """
        await self._act(ActOnActivity("resume", _random_part(jitter)))

    unpause = resume

    @_intercepted
    async def reset(
        self, *, keep_paused: bool = False, reset_heartbeats: bool = False, jitter: Duration | None = None
    ) -> None:
        """Count attempts from one again; the next is due at once, or after a random part of `jitter`.

        An attempt that runs goes on, and if it fails the next one is the first. `keep_paused` leaves a paused one paused;
        `reset_heartbeats` forgets the details of the last heartbeat.

        Raises:
            ActivityNotFoundError, WorkflowNotFoundError: as `complete`.
        """
        await self._act(
            ActOnActivity("reset", _random_part(jitter), keep_paused=keep_paused, forget_heartbeats=reset_heartbeats)
        )

    @_intercepted
    async def update_options(
        self,
        *,
        task_queue: Any = KEEP,
        start_to_close_timeout: Any = KEEP,
        heartbeat_timeout: Any = KEEP,
        retry: RetryPolicy | Any | None = KEEP,
    ) -> ActivityOptions:
        """Change how the next attempts are run; what is left out stays, None takes a limit away. Returns what is in force now.

        `schedule_to_close_timeout` and `schedule_to_start_timeout` are the workflow's own and cannot be changed from outside.

        Raises:
            ConfigurationError: a value cannot work.
            ActivityNotFoundError, WorkflowNotFoundError: as `complete`.
        """
        changes: dict[str, Any] = {}
        if task_queue is not KEEP:
            changes["task_queue"] = check_name(task_queue, what="task_queue")
        if start_to_close_timeout is not KEEP:
            changes["start_to_close_timeout"] = time_limit(start_to_close_timeout, "start_to_close_timeout")
        if heartbeat_timeout is not KEEP:
            changes["heartbeat_timeout"] = time_limit(heartbeat_timeout, "heartbeat_timeout")
        if retry is not KEEP:
            changes["retry"] = retry_policy(retry) or RetryPolicy()
        if not changes:
            raise ConfigurationError(
                "update_options: name what is to change: task_queue, start_to_close_timeout, heartbeat_timeout, retry"
            )
        found = await self._found()
        options = replace(found.options, **changes)
        if not await self._link.store.act_on_activity(found, ActOnActivity("update", options=options)):
            raise self._not_found("has ended")
        return options

    async def _act(self, act: ActOnActivity) -> None:
        if not await self._link.store.act_on_activity(await self._found(), act):
            raise self._not_found("has ended")

    # -- finding

    async def _found(self) -> FoundActivity:
        """The activity as it is now. Waits for one that runs in memory to get its row."""
        loop = asyncio.get_running_loop()
        until = loop.time() + APPEARS_WITHIN_SECONDS
        pause = 0.02
        while True:
            found = await self._link.store.find_activity(self._key)
            if not isinstance(found, str):
                if found.options.is_local:
                    raise ConfigurationError(f"{self._named()} is local: only its own workflow can act on it")
                return found
            if found == "missing":
                assert self._key.workflow_id is not None, "a token names no workflow"
                raise WorkflowNotFoundError(self._key.workflow_id, run_id=self._key.run_id, namespace=self._link.namespace)
            if found == "closed":
                raise self._not_found("is not pending: its workflow has ended")
            if found == "not_found" or loop.time() > until:
                raise self._not_found("is not pending: it has ended, or this token is that of another attempt")
            await asyncio.sleep(pause)
            pause = min(0.2, pause * 1.5)

    def _not_found(self, why: str) -> ActivityNotFoundError:
        return ActivityNotFoundError(f"{self._named()} {why}")

    def _named(self) -> str:
        key = self._key
        if key.token is not None:
            return f"activity attempt {key.run}.{key.op}"
        return f"activity {key.activity_id!r} of workflow {key.workflow_id!r}"


def activity_key(
    task_token: bytes | str | None, workflow_id: str | None, run_id: str | None, activity_id: str | int | None
) -> ActivityKey:
    """What `get_activity_handle` was given, checked.

    Raises:
        ConfigurationError: too little, too much, or no such thing.
    """
    if task_token is not None:
        if workflow_id is not None or activity_id is not None:
            raise ConfigurationError("get_activity_handle: give either a task token or workflow_id and activity_id, not both")
        run, op, token = read_task_token(task_token)
        return ActivityKey(run=run, op=op, token=token)
    if workflow_id is None or activity_id is None:
        raise ConfigurationError("get_activity_handle: give a task token, or workflow_id and activity_id")
    return ActivityKey(
        workflow_id=check_name(workflow_id, what="workflow id"),
        run_id=None if run_id is None else check_name(run_id, what="run id"),
        activity_id=check_name(str(activity_id) if isinstance(activity_id, int) else activity_id, what="activity id"),
    )


def _random_part(jitter: Duration | None) -> timedelta:
    return timedelta() if jitter is None else to_timedelta(jitter, what="jitter") * random.random()
