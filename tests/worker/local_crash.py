"""A local activity that kills its worker twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from memflow import RetryPolicy, activity, workflow


@activity.defn
async def dies(log: str) -> int:
    path = Path(log)
    attempt = activity.info().attempt
    with path.open("a") as file:
        file.write(f"{attempt}\n")
    if len(path.read_text().split()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@workflow.defn
async def dies_twice(log: str, maximum: int) -> int:
    return await workflow.execute_local_activity(
        dies, log, retry=RetryPolicy(initial_interval=0.01, maximum_attempts=maximum)
    )
