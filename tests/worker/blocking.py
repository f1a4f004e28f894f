"""An activity that blocks the event loop of its worker."""

from __future__ import annotations

import os
import time
from pathlib import Path

from memflow import activity, workflow


@activity.defn
async def blocks(seconds: float) -> str:
    with Path(os.environ["BLOCK_LOG"]).open("a") as log:
        log.write(f"attempt {activity.info().attempt}\n")
    time.sleep(seconds)
    return "done"


@workflow.defn
async def blocked() -> str:
    return await blocks(3.5)


@workflow.defn
async def idle() -> None:
    return None
