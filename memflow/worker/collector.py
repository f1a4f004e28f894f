"""Python's garbage collector while workers run: full collections are rare, since runs leave no cycles behind.

Each full collection looks at every object of the process, each young one at those of all runs in flight: some 100 per run. With
the interpreter's thresholds the objects of a few runs set them off, and a worker under load spent a third of its time in them;
with 10,000 for the young ones still 24 %, with 100,000 8 % and pauses of 70 ms (measured over 16,000 one-activity workflows),
with these none. Young cycles, such as the tracebacks of user code, are collected as before, only not as soon.
"""

from __future__ import annotations

import gc
import sys

THRESHOLDS = (400_000, 3, 2)
"""Net allocations before a young collection, and how many of those to the next older one. The first is twice what 2,000 runs in
flight have, so under load hardly any collection begins; it is garbage of some 60 MB at the very worst."""

_DEFAULTS = (700, 10, 10), (2000, 10, 10)                # of 3.11 and 3.12; of 3.13
_before: list[tuple[int, int, int]] = []
_users = 0


def relax() -> None:
    """A worker starts. Thresholds that somebody has set on purpose stay as they are, and so do those of Python 3.14,
    whose collections are incremental."""
    global _users
    _users += 1
    if _users == 1 and sys.version_info < (3, 14) and gc.get_threshold() in _DEFAULTS:
        _before.append(gc.get_threshold())
        gc.set_threshold(*THRESHOLDS)


def restore() -> None:
    """A worker has ended; after the last one the collector works as before."""
    global _users
    _users -= 1
    if _users == 0 and _before:
        before = _before.pop()
        if gc.get_threshold() == THRESHOLDS:
            gc.set_threshold(*before)
