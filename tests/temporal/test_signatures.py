"""Methods that are called with the same arguments take the same; what they call them is theirs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memflow.temporal import workflow
from memflow.temporal.client import Client, WorkflowUpdateFailedError
from memflow.temporal.common import RawValue
from memflow.temporal.worker import Worker


@workflow.defn
class Named:
    @workflow.init
    def __init__(self, start: int, step: str) -> None:
        self.at = start

    @workflow.run
    async def run(self, _: int, __: str) -> int:
        await workflow.wait_condition(lambda: self.at >= 10)
        return self.at

    @workflow.update
    def add(self, number: int, times: int = 1) -> int:
        self.at += number * times
        return self.at

    @add.validator  # type: ignore[arg-type]  # checkers would have the names too
    def _positive(self, n: int, __: int = 1) -> None:
        if n < 0:
            raise ValueError("only up")


async def test_what_parameters_are_called_does_not_matter(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Named]):
        handle = await client.start_workflow(Named.run, args=[1, ""], id="named", task_queue=queue)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(Named.add, args=[-1, 1])
        assert await handle.execute_update(Named.add, args=[3, 3]) == 10
        assert await handle.result() == 10


class Parted:
    @workflow.init
    def __init__(self, start: int) -> None:
        self.at = start

    @workflow.run
    async def run(self, start: str) -> None:
        """Takes something else."""


class Updated:
    @workflow.run
    async def run(self) -> None:
        """Waits for nothing."""

    @workflow.update
    def set(self, value: int = 1) -> None:
        """Has a default."""

    @set.validator  # type: ignore[arg-type]  # as it is said to be refused by defn
    def strict(self, value: int) -> None:
        """Has none."""

    @workflow.query(dynamic=True)
    def one(self, name: str, args: Sequence[RawValue]) -> None:
        """Takes any."""

    @workflow.query(dynamic=True)
    def two(self, name: str, args: Sequence[RawValue]) -> None:
        """Takes any, too."""


def test_what_parameters_take_does_matter() -> None:
    with pytest.raises(ValueError, match=r"@workflow\.init and @workflow\.run method parameters do not match"):
        workflow.defn(Parted)

    with pytest.raises(ValueError, match="for 2 reasons") as refused:
        workflow.defn(Updated)
    assert "Update validator method strict parameters do not match update method set parameters" in str(refused.value)
    assert "Multiple query methods found for <dynamic> (at least on two and one)" in str(refused.value)


class OldWays:
    async def ask(self) -> int:
        """A query that could wait, if only it might."""
        return 1

    def anything(self, name: str, *args: object) -> None:
        """Takes its arguments as they are."""


def test_old_ways_of_handlers_are_warned_of_where_they_stand() -> None:
    with pytest.warns(DeprecationWarning, match="Queries as async def functions are deprecated") as first:
        workflow.query(OldWays.ask)
    with pytest.warns(DeprecationWarning, match="Dynamic signals with vararg third param is deprecated") as second:
        workflow.signal(dynamic=True)(OldWays.anything)
    with pytest.warns(DeprecationWarning, match="Dynamic queries with vararg third param is deprecated") as third:
        workflow.query(dynamic=True)(OldWays.anything)
    assert {each.list[0].filename for each in (first, second, third)} == {__file__}
    with pytest.raises(RuntimeError, match="Dynamic updates do not support a vararg third param"):
        workflow.update(dynamic=True)(OldWays.anything)
