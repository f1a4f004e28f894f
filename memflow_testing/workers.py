"""Workers of an environment: they run fakes in place of activities, and can be told that the clock was moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from memflow.worker.engine import Connected
from memflow.worker.worker import Worker


class EnvironmentWorker(Worker):
    """A `Worker` made by `env.worker(...)`."""

    def __init__(
        self,
        client: Connected,
        *,
        workflows: Sequence[Any],
        activities: Sequence[Any],
        replace: Mapping[Any, Any],
        **options: Any,
    ) -> None:
        super().__init__(client, workflows=workflows, activities=activities, **options)

    @property
    def id(self) -> int | None:
        """Its number in the store while it runs."""
        return None if self._engine is None else self._engine.id

    @property
    def busy(self) -> bool:
        """Whether a run or an activity is in its hands."""
        return self._engine is not None and self._engine.busy

    def hear(self, now: datetime) -> None:
        """The clock was moved to `now`."""
        if self._engine is not None:
            self._engine.hear(now)
