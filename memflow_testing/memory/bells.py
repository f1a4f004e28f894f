"""Doorbells within one event loop. Rung after the change that they tell of is complete, as a NOTIFY comes after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bells:
    """Who listens to which ear."""

    def __init__(self) -> None:
        self._ears: dict[str, list[Callable[[], None]]] = {}

    def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the ear rings. Returns how to stop."""
        self._ears.setdefault(ear, []).append(callback)

        def stop() -> None:
            callbacks = self._ears.get(ear, [])
            if callback in callbacks:
                callbacks.remove(callback)

        return stop

    def ring(self, ear: str) -> None:
        """Call back all who listen, soon."""
        for callback in self._ears.get(ear, ()):
            asyncio.get_running_loop().call_soon(callback)

    def close(self) -> None:
        """Nobody listens any more."""
        self._ears.clear()
