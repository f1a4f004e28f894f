"""What `client.workflow.find` gives: runs to be awaited as a list, or read one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator

from memflow.client.describe import RunSummary


class Found:
    """Runs that match. Nothing is asked before they are read, and each reading asks anew."""

    def __init__(self, runs: Callable[[], AsyncIterator[RunSummary]]) -> None:
        self._runs = runs

    def __aiter__(self) -> AsyncIterator[RunSummary]:
        return self._runs()

    def __await__(self) -> Generator[object, None, list[RunSummary]]:
        return self._all().__await__()

    async def _all(self) -> list[RunSummary]:
        return [run async for run in self._runs()]
