"""The client of an environment: it knows what is awaited, and its handles know which activities were called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack, overload

from memflow.activity import Activity
from memflow.client.client import Client
from memflow.client.handle import Handle
from memflow.client.link import Link
from memflow.client.starting import StartOptions
from memflow.client.workflows import Workflows
from memflow.duration import Duration
from memflow.store.base import Store
from memflow_testing.fakes import Call

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")


class EnvironmentHandle(Handle[R_co], Generic[R_co]):
    """A `Handle` that also tells which activities its workflow called, on the workers of its environment."""

    def __init__(
        self, link: Link, workflow_id: str, *, run_id: str | None, result_type: Any, run: int | None, client: EnvironmentClient
    ) -> None:
        super().__init__(link, workflow_id, run_id=run_id, result_type=result_type, run=run)
        self._client = client

    async def result(self, timeout: Duration | None = None, *, follow: bool = True) -> R_co:
        self._client.forgotten.pop((self._id, self._run_id), None)
        return await super().result(timeout, follow=follow)

    def calls(self, activity: Activity[..., Any] | str | None = None) -> list[Call]:
        """What this workflow called, in order: all activities, or one. Attempts of one call count once."""
        name = activity.name if isinstance(activity, Activity) else activity
        return [
            each for each in self._client.calls.values() if each.workflow_id == self._id and name in (None, each.activity)
        ]

    def assert_called(self, activity: Activity[..., Any] | str, *arguments: Any, times: int | None = None) -> None:
        """Fail unless this workflow called the activity with these arguments, or without any given, at all. `times`: how often.

        Calls count, not attempts, and only those that a worker of this environment has begun to run.

        Raises:
            AssertionError: the message lists the calls there were.
        """
        name = activity if isinstance(activity, str) else activity.name
        of_it = self.calls(name)
        found = [each for each in of_it if not arguments or each.arguments == arguments]
        if (len(found) == times) if times is not None else found:
            return
        wanted = f"{name}({', '.join(map(repr, arguments)) if arguments else '...'})"
        often = "" if times is None else f" {times} times"
        seen = "\n".join(f"  {each.activity}{_in_brackets(each.arguments)}" for each in (of_it or self.calls())) or "  nothing"
        raise AssertionError(f"{self._id}: {wanted} was to be called{often}, and was called {len(found)} times. Calls:\n{seen}")


class EnvironmentWorkflows(Workflows):
    """`env.client.workflow`."""

    def __init__(self, link: Link, client: EnvironmentClient) -> None:
        super().__init__(link)
        self._client = client

    def _own(self, handle: Any) -> Any:
        return EnvironmentHandle[Any](
            self._link,
            handle.id,
            run_id=handle.run_id,
            result_type=handle.result_type,
            run=handle.run,
            client=self._client,
        )

    @overload
    async def start(
        self, workflow: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[StartOptions]
    ) -> EnvironmentHandle[Any]: ...
    @overload
    async def start(
        self,
        workflow: str,
        *arguments: Any,
        args: Sequence[Any] | None = ...,
        result_type: type[R],
        **options: Unpack[StartOptions],
    ) -> EnvironmentHandle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[[*Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> EnvironmentHandle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[[Any, *Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> EnvironmentHandle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[StartOptions]
    ) -> EnvironmentHandle[R]: ...
    async def start(self, workflow: Any, *arguments: Any, **options: Any) -> Any:  # type: ignore[misc]  # as in Workflows
        """As `Workflows.start`."""
        handle: Any = self._own(await super().start(workflow, *arguments, **options))
        self._client.forgotten[handle.id, handle.run_id] = getattr(workflow, "__qualname__", str(workflow))
        return handle

    @overload
    def get_handle(self, id: str, run_id: str | None = ...) -> EnvironmentHandle[Any]: ...
    @overload
    def get_handle(self, id: str, run_id: str | None = ..., *, result_type: type[R]) -> EnvironmentHandle[R]: ...
    def get_handle(self, id: str, run_id: str | None = None, result_type: Any = None) -> Any:
        """As `Workflows.get_handle`."""
        return self._own(super().get_handle(id, run_id, result_type=result_type))


class EnvironmentClient(Client):
    """The client of an environment."""

    def __init__(self, store: Store, *, skips_for_updates: bool = True, **options: Any) -> None:
        super().__init__(store, **options)
        self._skips_for_updates = skips_for_updates
        self.calls: dict[tuple[str, str], Call] = {}
        self.forgotten: dict[tuple[str, str | None], str] = {}
        """Started here, and not awaited so far: id and run id to what was started."""
        self._workflows: EnvironmentWorkflows = EnvironmentWorkflows(self._link, self)

    @property
    def workflow(self) -> EnvironmentWorkflows:
        """Start workflows, get handles on them, list and count them."""
        return self._workflows

    def awaited_runs(self) -> list[int]:
        """The runs whose result is awaited."""
        return self._link.waiters.runs

    async def awaits_update(self) -> bool:
        """Whether the end of an update is awaited that has not come yet, and time is to skip for it."""
        keys = self._link.replies.updates
        if not keys or not self._skips_for_updates:
            return False
        found = await self._link.store.replies(keys)
        return all(reply.open and reply.outcome in (None, "accepted") for reply in found)

    async def forgotten_runs(self) -> list[str]:
        """Runs that were started here, are open, and were never awaited."""
        lines: list[str] = []
        for (id, run_id), what in self.forgotten.items():
            row = await self.store.find_run(id, run_id)
            if row is not None and row.status.is_open:
                lines.append(
                    f"workflow {what} {id!r} was started and is still {row.status.value}; "
                    "await its result(), or end it with terminate()"
                )
        return lines

    async def detach(self) -> None:
        """Close, but leave the store open: it belongs to somebody else."""
        await self._link.waiters.close()
        await self._link.replies.close()

    def give_up(self, error: Exception) -> None:
        """Tell those who await results that they wait in vain."""
        self._link.waiters.give_up(error)
        self._link.replies.give_up(error)


def _in_brackets(arguments: tuple[Any, ...]) -> str:
    return f"({', '.join(map(repr, arguments))})"
