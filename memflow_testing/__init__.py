"""Tests of workflows: time that skips by itself, activities on their own, journals replayed.

    async def test_reminder(memflow_env):
        async with memflow_env.worker(reminder_workflow, activities=[send_mail]):
            handle = await memflow_env.client.workflow.start(reminder_workflow, "ann", task_queue=memflow_env.task_queue)
            assert await handle.result() == "reminded after 30 days"
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memflow_testing.environment import WorkflowEnvironment
    from memflow_testing.waiting import NeverEndsError

__all__ = ["NeverEndsError", "WorkflowEnvironment"]

_HOMES = {"NeverEndsError": "waiting", "WorkflowEnvironment": "environment"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'memflow_testing' has no attribute {name!r}")
    value = getattr(import_module(f"memflow_testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
