"""The verbs of hooks: what they ask, and what they refuse at the call."""

from __future__ import annotations

from typing import Any

import pytest

from memflow import workflow
from memflow.core.arrivals import HookCompleted, HookDelivered
from memflow.core.interrupts import Complete, SendHook, StartHook
from memflow.errors import ConfigurationError, NotInWorkflowError, PayloadError
from tests.workflow.driving import Driven, encoded


async def double(number: int, text: str = "") -> int:
    return number * 2


async def late(*numbers: int) -> None: ...


def sync(number: int) -> None: ...


@workflow.defn
class Cls:
    @workflow.run
    async def run(self) -> None: ...


@workflow.defn
async def here() -> list[Any]:
    id = await workflow.hook(double, 1)
    result = await workflow.exec_hook(double, 2, "b")
    both = await workflow.exec_hook_batch([("a", double, 3), ("b", double, 4)])
    return [len(id), result, both]


@workflow.defn
async def there() -> list[Any]:
    id = await workflow.hook(double, 1, workflow_id="other", search={"a": 1})
    return [len(id), await workflow.exec_hook("double", 2, workflow_id="other", run_id="r", result_type=int)]


def test_hooks_here_are_entries_and_nothing_more() -> None:
    with Driven(here) as run:
        *asked, end = run.start()
        assert [each.op for each in asked if isinstance(each, StartHook)] == [1, 2, 3, 4]
        assert len(asked) == 4
        assert end == Complete(encoded([36, 4, {"a": 6, "b": 8}]))


def test_hooks_there_wait_for_their_answers() -> None:
    with Driven(there) as run:
        [sent] = run.start()
        assert isinstance(sent, SendHook)
        assert (sent.name, sent.workflow_id, sent.run_id, sent.answer) == ("double", "other", None, False)
        assert sent.search == encoded({"a": 1})
        [sent] = run.turn(HookDelivered(1))
        assert isinstance(sent, SendHook) and (sent.run_id, sent.answer) == ("r", True)
        [end] = run.turn(HookCompleted(2, encoded(7)))
        assert end == Complete(encoded([36, 7]))


@workflow.defn
async def wrong(which: int) -> str:
    verbs: list[Any] = [
        lambda: workflow.hook(wrong, 1),
        lambda: workflow.hook(wrong, 1, workflow_id="order-1"),
        lambda: workflow.hook(double, 1, run_id="r"),
        lambda: workflow.hook(double),
        lambda: workflow.hook(double, 1, "a", 3),
        lambda: workflow.hook(sync, 1),
        lambda: workflow.hook(late, 1),
        lambda: workflow.hook(Cls),
        lambda: workflow.hook(5),
        lambda: workflow.hook("", workflow_id="w"),
        lambda: workflow.hook(double, 1, workflow_id="\0"),
        lambda: workflow.hook(double, "no number"),
        lambda: workflow.hook(double, 1, workflow_id="w", search={"a": "\0"}),
        lambda: workflow.exec_hook(double, 1, signal_id=""),
        lambda: workflow.exec_hook_batch([("a", double, 1), ("a", double, 2)]),
        lambda: workflow.exec_hook_batch([("a",)]),
        lambda: workflow.exec_hook_batch({"a": (double, 1), "b": (sync,)}),
    ]
    try:
        await verbs[which]()
    except (ConfigurationError, TypeError, PayloadError) as error:
        return str(error)
    return "accepted"


WRONG = [
    "own workflow", "own workflow", "workflow_id it belongs to", "takes 1 to 2 arguments", "takes 1 to 2 arguments", "async def",
    "*numbers", "a class cannot be a hook", "async function", "hook name", "workflow id", "int", "NUL", "signal id", "twice",
    "no (key, function, *arguments)", "async def",
]  # fmt: skip


@pytest.mark.parametrize(("which", "said"), list(enumerate(WRONG)))
def test_what_cannot_be_is_refused_before_anything_is_asked(which: int, said: str) -> None:
    with Driven(wrong, which) as run:
        [end] = run.start()
        assert isinstance(end, Complete)
        assert said in end.result.data.decode(), end.result.data


async def test_outside_a_workflow_they_say_so() -> None:
    for verb in (workflow.hook(double, 1), workflow.exec_hook(double, 1), workflow.exec_hook_batch({})):
        with pytest.raises(NotInWorkflowError, match="hook"):
            await verb
