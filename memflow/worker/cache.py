"""Suspended replays of runs that this worker let go: a wake-up that finds its replay here reads only what is new.

A replay has one user at a time: `take` hands it out for good, `keep` takes it back. Whoever goes is closed on purpose,
because dropping a parked coroutine would run its `finally` blocks at a moment nobody chose.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from memflow.core.replay import Replay


@dataclass(slots=True)
class Suspended:
    """A replay and the place in the journal where it stands."""

    replay: Replay
    length: int
    scheduled_at: dict[int, datetime]


class Cache:
    """At most `size` suspended replays, the least recently used goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[int, Suspended] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, run: int, suspended: Suspended) -> None:
        """Keep a released run's replay, and let the oldest go when there are too many."""
        before = self._kept.pop(run, None)
        if before is not None:
            before.replay.close()
        self._kept[run] = suspended
        while len(self._kept) > self._size:
            _, oldest = self._kept.popitem(last=False)
            oldest.replay.close()

    def take(self, run: int, length: int) -> Suspended | None:
        """The replay of `run` if it stands at `length`; one that somebody else's commits have passed is closed."""
        found = self._kept.pop(run, None)
        if found is None:
            return None
        if found.length != length:
            found.replay.close()
            return None
        return found

    def clear(self) -> None:
        """Close all."""
        while self._kept:
            _, suspended = self._kept.popitem()
            suspended.replay.close()
