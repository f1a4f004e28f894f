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
    from memflow.client.histories import WorkflowHistory
    from memflow_testing.activities import ActivityEnvironment
    from memflow_testing.crash_reports import CrashError, CrashFinding, CrashReport
    from memflow_testing.crashing import crash_everywhere
    from memflow_testing.environment import WorkflowEnvironment
    from memflow_testing.exploring import ExplorationError, Explored, explore
    from memflow_testing.fakes import replacing
    from memflow_testing.replayer import Replayer, WorkflowReplayResult, WorkflowReplayResults
    from memflow_testing.script import Script
    from memflow_testing.waiting import ForgottenWarning, NeverEndsError

__all__ = [
    "ActivityEnvironment",
    "CrashError",
    "CrashFinding",
    "CrashReport",
    "ExplorationError",
    "Explored",
    "ForgottenWarning",
    "NeverEndsError",
    "Replayer",
    "Script",
    "WorkflowEnvironment",
    "WorkflowHistory",
    "WorkflowReplayResult",
    "WorkflowReplayResults",
    "crash_everywhere",
    "explore",
    "replacing",
]

_HOMES = {
    "ActivityEnvironment": "memflow_testing.activities",
    "CrashError": "memflow_testing.crash_reports",
    "CrashFinding": "memflow_testing.crash_reports",
    "CrashReport": "memflow_testing.crash_reports",
    "ExplorationError": "memflow_testing.exploring",
    "Explored": "memflow_testing.exploring",
    "ForgottenWarning": "memflow_testing.waiting",
    "NeverEndsError": "memflow_testing.waiting",
    "Replayer": "memflow_testing.replayer",
    "Script": "memflow_testing.script",
    "WorkflowEnvironment": "memflow_testing.environment",
    "WorkflowHistory": "memflow.client.histories",
    "WorkflowReplayResult": "memflow_testing.replayer",
    "WorkflowReplayResults": "memflow_testing.replayer",
    "crash_everywhere": "memflow_testing.crashing",
    "explore": "memflow_testing.exploring",
    "replacing": "memflow_testing.fakes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'memflow_testing' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
