"""A chain of runs: how one ends so that the next begins where it left off."""

from __future__ import annotations

from typing import cast

from memflow.core.interrupts import ContinueAsNew


class ContinueAsNewError(BaseException):
    """Travels through the code of a run that continues as new, so that its `finally` blocks run. `except Exception` lets it
    pass; whoever catches more raises it again."""

    def __init__(self, asked: ContinueAsNew) -> None:
        super().__init__("the run continues as new")
        self.asked = asked


def continuation_in(error: BaseException) -> ContinueAsNew | None:
    """What a run asks whose code ended by `error`: alone, or in the group that a `TaskGroup` makes of it."""
    if isinstance(error, ContinueAsNewError):
        return error.asked
    if isinstance(error, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            found = continuation_in(member)
            if found is not None:
                return found
    return None
