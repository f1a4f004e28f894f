"""Activities that a client starts, without a workflow around them.

Each is a run whose code is given: one activity, whose end is that of the run. So ids, lists, results, retention and cancellation
are those of runs, and an activity that runs where its run is claimed costs two commits: the start and the end. Such runs lie on a
queue beside that of workflows, so that workers which know activities alone take them and no others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from memflow.core import context
from memflow.core.definition import Definition
from memflow.core.options_json import activity_options_from_json
from memflow.errors import CancelledError
from memflow.scheduling import ActivityCall, performing

TYPE = "activity:"
"""What the type of such a run begins with; the activity's name follows."""

ID = "activity/"
"""What the workflow id of such a run begins with; the activity's id follows."""

_QUEUE = "/activities"


def run_queue(task_queue: str) -> str:
    """The queue on which runs lie whose activity is for `task_queue`."""
    return task_queue + _QUEUE


def task_queue_of(queue: str) -> str:
    """The other way round."""
    return queue.removesuffix(_QUEUE)


def activity_of(workflow: str) -> str | None:
    """The name of the activity, if a run of this type is one."""
    return workflow.removeprefix(TYPE) if workflow.startswith(TYPE) else None


def definition(activity: str) -> Definition:
    """The workflow that runs one activity, and nothing else."""

    async def run(arguments: list[Any], options: Mapping[str, Any]) -> Any:
        replay = context.current("a standalone activity")
        call = ActivityCall(activity, activity_options_from_json(options), dict(replay.info.headers or {}))
        try:
            return await performing("a standalone activity", call, arguments, (), Any)
        except asyncio.CancelledError as cancelled:
            if isinstance(cancelled.__cause__, CancelledError):
                raise cancelled.__cause__ from None      # whoever awaits it is told the details
            raise

    return Definition(TYPE + activity, run, (Any, Any), 2, Any, (Exception,))
