"""Enums and small values of `workflow`, and memflow's words for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum, auto

from memflow import options
from memflow.core.chain import ContinueAsNewError
from memflow.errors import (
    DeterminismError,
    NotInWorkflowError,
    ReadOnlyError,
    UnfinishedSignalHandlersWarning,
    UnfinishedUpdateHandlersWarning,
)
from memflow.temporal.exceptions import TemporalError

__all__ = ["ContinueAsNewError", "UnfinishedSignalHandlersWarning", "UnfinishedUpdateHandlersWarning"]


class HandlerUnfinishedPolicy(Enum):
    """Whether a workflow's end while a handler is running is worth a warning."""

    WARN_AND_ABANDON = 1
    ABANDON = 2


class ActivityCancellationType(IntEnum):
    """What awaiting a cancelled activity yields."""

    TRY_CANCEL = 0
    WAIT_CANCELLATION_COMPLETED = 1
    ABANDON = 2


class ChildWorkflowCancellationType(IntEnum):
    """What awaiting a cancelled child yields."""

    ABANDON = 0
    TRY_CANCEL = 1
    WAIT_CANCELLATION_COMPLETED = 2
    WAIT_CANCELLATION_REQUESTED = 3


class ParentClosePolicy(IntEnum):
    """What happens to an open child when its parent closes."""

    UNSPECIFIED = 0
    TERMINATE = 1
    ABANDON = 2
    REQUEST_CANCEL = 3


class VersioningIntent(Enum):
    """Which workers may run something new. Accepted; the queue's workers of the run's version do."""

    COMPATIBLE = 1
    DEFAULT = 2


class ContinueAsNewVersioningBehavior(IntEnum):
    """Which version the next run begins on. Accepted; it is this run's."""

    UNSPECIFIED = 0
    AUTO_UPGRADE = 1
    USE_RAMPING_VERSION = 2


ACTIVITY_WORDS: Mapping[ActivityCancellationType, options.CancellationType] = {
    ActivityCancellationType.TRY_CANCEL: options.CancellationType.TRY_CANCEL,
    ActivityCancellationType.WAIT_CANCELLATION_COMPLETED: options.CancellationType.WAIT_CANCELLATION_COMPLETED,
    ActivityCancellationType.ABANDON: options.CancellationType.ABANDON,
}
CHILD_WORDS: Mapping[ChildWorkflowCancellationType, options.CancellationType] = {
    ChildWorkflowCancellationType.ABANDON: options.CancellationType.ABANDON,
    ChildWorkflowCancellationType.TRY_CANCEL: options.CancellationType.TRY_CANCEL,
    ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED: options.CancellationType.WAIT_CANCELLATION_COMPLETED,
    # There, too, what the child makes of the request is what its handle yields.
    ChildWorkflowCancellationType.WAIT_CANCELLATION_REQUESTED: options.CancellationType.WAIT_CANCELLATION_COMPLETED,
}
CLOSE_WORDS: Mapping[ParentClosePolicy, options.ParentClosePolicy] = {
    ParentClosePolicy.UNSPECIFIED: options.ParentClosePolicy.TERMINATE,
    ParentClosePolicy.TERMINATE: options.ParentClosePolicy.TERMINATE,
    ParentClosePolicy.ABANDON: options.ParentClosePolicy.ABANDON,
    ParentClosePolicy.REQUEST_CANCEL: options.ParentClosePolicy.REQUEST_CANCEL,
}


class NondeterminismError(TemporalError):
    """The code asked for something other than the history holds, or for something that no replay could repeat."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ReadOnlyContextError(TemporalError, ReadOnlyError):
    """Something durable in a query, validator or condition, which may only look."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @classmethod
    def of(cls, action: str) -> ReadOnlyContextError:
        """The one for an action such as `start activity`."""
        return cls(f"While in read-only function, action attempted: {action}")


class RestrictedWorkflowAccessError(NondeterminismError, DeterminismError):
    """Workflow code called something that no replay could repeat."""

    def __init__(self, qualified_name: str, *, override_message: str | None = None) -> None:
        self.message = override_message or RestrictedWorkflowAccessError.default_message(qualified_name)
        Exception.__init__(self, self.message)   # its two bases take different things
        self.qualified_name = qualified_name
        self.call = qualified_name
        self.instead = ""
        self.where = ""

    @classmethod
    def at(cls, qualified_name: str, instead: str, where: str) -> RestrictedWorkflowAccessError:
        """The one for a call at a line of the program."""
        error = cls(qualified_name, override_message=f"{cls.default_message(qualified_name)} At {where}: {instead}.")
        error.instead, error.where = instead, where
        return error

    @staticmethod
    def default_message(qualified_name: str) -> str:
        """What it says by default."""
        return (
            f"Cannot access {qualified_name} from inside a workflow. If this is code from a module not used in a workflow or"
            " known to only be used deterministically from a workflow, mark the import as pass through."
        )


class NotInWorkflowEventLoopError(TemporalError, NotInWorkflowError):
    """A verb of workflows outside a workflow."""

    def __init__(self, message: str = "Not in workflow event loop") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class UpdateInfo:
    """Which update the calling code answers."""

    id: str
    name: str


class EventGroup:
    """Groups events for display. Accepted, and without effect."""


class SandboxImportNotificationPolicy(Flag):
    """What a sandbox says of imports that code makes while its workflow runs."""

    SILENT = auto()
    WARN_ON_DYNAMIC_IMPORT = auto()
    WARN_ON_UNINTENTIONAL_PASSTHROUGH = auto()
    RAISE_ON_UNINTENTIONAL_PASSTHROUGH = auto()
