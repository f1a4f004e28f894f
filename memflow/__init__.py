"""memflow: durable workflows on Postgres alone.

    from memflow import Client, Worker, RetryPolicy, activity, workflow

Names are loaded when first used, so that `import memflow` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memflow import activity, workflow
    from memflow.client.client import Client
    from memflow.errors import (
        ActivityError,
        ApplicationError,
        CancelledError,
        ChildWorkflowError,
        EscalationError,
        HookError,
        MemflowError,
        TerminatedError,
        TimeoutError,
        WorkflowAlreadyStartedError,
        WorkflowClosedError,
        WorkflowFailedError,
        WorkflowNotFoundError,
    )
    from memflow.retry import RetryPolicy
    from memflow.worker.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "ActivityError",
    "ApplicationError",
    "CancelledError",
    "ChildWorkflowError",
    "Client",
    "EscalationError",
    "HookError",
    "MemflowError",
    "RetryPolicy",
    "TerminatedError",
    "TimeoutError",
    "Worker",
    "WorkflowAlreadyStartedError",
    "WorkflowClosedError",
    "WorkflowFailedError",
    "WorkflowNotFoundError",
    "__version__",
    "activity",
    "workflow",
]

_MODULES = ("activity", "workflow")
_HOMES = {"Client": "memflow.client.client", "Worker": "memflow.worker.worker", "RetryPolicy": "memflow.retry"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'memflow' has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"memflow.{name}")
    value = getattr(import_module(_HOMES.get(name, "memflow.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
