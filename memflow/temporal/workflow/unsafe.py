"""What Temporal's programs say to its sandbox. Here it imports nothing anew: it refuses single accesses and calls."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from memflow.temporal.workflow.running import current, current_or_none
from memflow.temporal.workflow.words import SandboxImportNotificationPolicy
from memflow.worker.callers import UNGUARDED

_policy: ContextVar[SandboxImportNotificationPolicy | None] = ContextVar("memflow_temporal_import_policy", default=None)
_passed_through: ContextVar[bool] = ContextVar("memflow_temporal_passed_through", default=False)


class unsafe:
    """Things to know and to do with care. A namespace: there are no instances."""

    def __init__(self) -> None:
        raise TypeError("workflow.unsafe is a namespace; call its functions as they are: workflow.unsafe.is_replaying()")

    @staticmethod
    def in_sandbox() -> bool:
        """Whether workflow code runs in which calls that no replay could repeat are refused."""
        running = current_or_none()
        return running is not None and running.replay.definition.dialect.guarded

    @staticmethod
    def is_replaying() -> bool:
        """Whether this turn happened before, or a query runs: what has happened is looked at again."""
        replay = current().replay
        return replay.silent or replay.querying

    @staticmethod
    def is_replaying_history_events() -> bool:
        """The same, and false in queries."""
        replay = current().replay
        return replay.silent and not replay.querying

    @staticmethod
    def is_read_only() -> bool:
        """Whether a query, validator or condition runs, which may only look."""
        return current().replay.read_only

    @staticmethod
    def is_sandbox_unrestricted() -> bool:
        """Whether calls are let through."""
        return UNGUARDED.get()

    @staticmethod
    @contextmanager
    def sandbox_unrestricted() -> Generator[None]:
        """Nothing is refused inside. What it does must not change the workflow."""
        token = UNGUARDED.set(True)
        try:
            yield
        finally:
            UNGUARDED.reset(token)

    @staticmethod
    def is_imports_passed_through() -> bool:
        """Whether this is inside `imports_passed_through()`. Modules are never imported a second time either way."""
        return _passed_through.get()

    @staticmethod
    @contextmanager
    def imports_passed_through() -> Generator[None]:
        """Imports inside are as any other."""
        token = _passed_through.set(True)
        try:
            yield
        finally:
            _passed_through.reset(token)

    @staticmethod
    def current_import_notification_policy_override() -> SandboxImportNotificationPolicy | None:
        """What is said of imports here, in place of what the sandbox says; None: nothing else."""
        return _policy.get()

    @staticmethod
    @contextmanager
    def sandbox_import_notification_policy(policy: SandboxImportNotificationPolicy) -> Generator[None]:
        """Inside, this is said of imports, in place of what the sandbox says."""
        token = _policy.set(policy)
        try:
            yield
        finally:
            _policy.reset(token)
