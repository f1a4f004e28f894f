"""Changing a workflow while runs of it are open: new runs take the new path, those under way stay on theirs."""

from __future__ import annotations

from memflow.core import context
from memflow.core.interrupts import MarkPatch
from memflow.names import check_name


def patched(patch_id: str) -> bool:
    """Whether this run takes the change named `patch_id`: True for a run that comes here first with this code.

        if workflow.patched("charge in euro"):
            await charge_in_euro(order)
        else:
            await charge(order)

    A run that passed this place before the change was deployed goes on with the old path, in all later calls too. The answer
    is part of the journal. When no run is left on the old path, replace the call by `deprecate_patch`.

    Raises:
        ConfigurationError: this cannot be an id.
        ReadOnlyError: asked first in a query or condition.
    """
    return context.current("patched").patch(MarkPatch(check_name(patch_id, what="patch id")))


def deprecate_patch(patch_id: str) -> None:
    """Say that no run takes the old path of this patch any more. Stands where `patched` stood.

    Runs that marked the patch still fit this code, and runs that begin now will still fit it without this call: once every
    run that `patched` marked has ended, remove it.

    Raises:
        ConfigurationError: this cannot be an id.
        ReadOnlyError: asked first in a query or condition.
    """
    context.current("deprecate_patch").patch(MarkPatch(check_name(patch_id, what="patch id"), deprecated=True))
