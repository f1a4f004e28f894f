"""What Temporal's programs say to its sandbox. There is none: memflow's guard refuses single calls and imports nothing anew."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from memflow.temporal.workflow.running import current, current_or_none
from memflow.temporal.workflow.words import SandboxImportNotificationPolicy


class unsafe:
    """Things to know and to do with care."""

    def __init__(self) -> None:
        raise NotImplementedError

    @staticmethod
    def in_sandbox() -> bool:
        """Whether workflow code runs, so that calls no replay could repeat are refused."""
        return current_or_none() is not None

    @staticmethod
    def is_replaying() -> bool:
        """Whether this turn happened before."""
        return current().replay.silent

    @staticmethod
    def is_replaying_history_events() -> bool:
        """The same, and false in queries."""
        replay = current().replay
        return replay.silent and not replay.read_only

    @staticmethod
    def is_read_only() -> bool:
        """Whether a query, validator or condition runs, which may only look."""
        return current().replay.read_only

    @staticmethod
    def is_sandbox_unrestricted() -> bool:
        """Whether calls are let through."""
        return current_or_none() is None

    @staticmethod
    @contextmanager
    def sandbox_unrestricted() -> Generator[None]:
        """Nothing is refused inside. What it does must not change the workflow."""
        from memflow.core.replay import CURRENT

        token = CURRENT.set(None)
        try:
            yield
        finally:
            CURRENT.reset(token)

    @staticmethod
    def is_imports_passed_through() -> bool:
        """Always: modules are never imported a second time."""
        return True

    @staticmethod
    @contextmanager
    def imports_passed_through() -> Generator[None]:
        """Imports inside are as any other."""
        yield

    @staticmethod
    def current_import_notification_policy_override() -> SandboxImportNotificationPolicy | None:
        """None: there is nothing to notify of."""
        return None

    @staticmethod
    @contextmanager
    def sandbox_import_notification_policy(policy: SandboxImportNotificationPolicy) -> Generator[None]:
        """Accepted: there is nothing to notify of."""
        yield
