"""Workers of an environment: they run fakes in place of activities, and can be told that the clock was moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from memflow.worker.engine import Connected
from memflow.worker.worker import Worker
from memflow_testing.fakes import Call, Replacement, prepared


class EnvironmentWorker(Worker):
    """A `Worker` made by `env.worker(...)`."""

    def __init__(
        self,
        client: Connected,
        *,
        workflows: Sequence[Any],
        activities: Sequence[Any],
        replace: Mapping[Any, Any] | Sequence[Replacement],
        calls: dict[tuple[str, str], Call],
        **options: Any,
    ) -> None:
        super().__init__(client, workflows=workflows, activities=prepared(activities, replace, calls), **options)
        self.entered = False

    async def __aenter__(self) -> Self:
        self.entered = True
        return await super().__aenter__()

    def forgotten(self) -> str | None:
        """In which way nobody looked after it."""
        if not self.entered:
            return f"a worker for task queue {self.task_queue!r} was made and never run; enter it: async with env.worker(...):"
        if self.is_running:
            return f"a worker for task queue {self.task_queue!r} was still running; leave its `async with` before the environment"
        return None

    @property
    def id(self) -> int | None:
        """Its number in the store while it runs."""
        return None if self._engine is None else self._engine.id

    @property
    def busy(self) -> bool:
        """Whether a run or an activity is in its hands."""
        return self._engine is not None and self._engine.busy

    def hear(self, now: datetime, due: Collection[str] | None = None) -> None:
        """The clock was moved to `now`; see `Engine.hear`."""
        if self._engine is not None:
            self._engine.hear(now, due)
