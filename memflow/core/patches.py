"""Which patches this run takes. Decided at the first question, and the same for the rest of the run.

A run that has asked while it was repeating its past, and whose journal holds no mark, was under way before the patch came:
it stays on the old path for good, also once it has caught up. Any other run takes the new path and marks that it did.
"""

from __future__ import annotations

from collections.abc import Callable

from memflow.core.interrupts import MarkPatch
from memflow.core.mismatch import Witness


class Patches:
    """The answers given so far."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: dict[str, bool] = {}

    def decided(self, mark: MarkPatch) -> bool:
        """Whether the question was asked before."""
        return mark.patch_id in self._taken

    def taken(self, mark: MarkPatch, witness: Witness | None, ask: Callable[[MarkPatch], None]) -> bool:
        """Whether this run takes the patch; asks for the mark when it first does. `witness` holds the journal in a rebuild."""
        known = self._taken.get(mark.patch_id)
        if known is not None:
            return known
        taken = witness is None or mark.patch_id in witness.patches
        if taken:
            ask(mark)
        self._taken[mark.patch_id] = taken
        return taken
