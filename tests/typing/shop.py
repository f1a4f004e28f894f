"""A module of activities, as `proxy_activities(module)` takes it."""

from __future__ import annotations

from memflow import activity


@activity.defn
async def check(item: str) -> int:
    return len(item)
