"""The logger of workflow tasks that failed, where programs and their logging configurations look for it."""

from __future__ import annotations

from memflow.temporal.workflow.dialect import task_log as logger

__all__ = ["logger"]
