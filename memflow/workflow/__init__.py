"""Everything that is used to write a workflow.

    @workflow.defn
    async def order(item: str, quantity: int) -> str:
        await workflow.sleep_for("1 hour")
        return await reserve(item, quantity)

Ordinary Python goes on working: `asyncio.gather`, `asyncio.timeout`, `TaskGroup`, `try/except/finally`. What a workflow must
not do is look at the outside world itself; activities do that.
"""

from memflow.core.definition import RunInfo
from memflow.core.logs import logger
from memflow.options import CancellationType, ParentClosePolicy
from memflow.scheduling import ActivityKeywords
from memflow.workflow.activities import execute_activity, start_activity
from memflow.workflow.chance import random, uuid4
from memflow.workflow.children import ChildHandle, ChildKeywords, execute_child, start_child
from memflow.workflow.control import (
    ExternalHandle,
    cancel,
    did_interrupt,
    get_external_handle,
    in_workflow,
    info,
    terminate,
)
from memflow.workflow.define import defn, init, run
from memflow.workflow.events import emit, trace
from memflow.workflow.patches import deprecate_patch, patched
from memflow.workflow.proxies import proxy_activities
from memflow.workflow.records import enrich
from memflow.workflow.signals import signal, wait_condition, wait_for
from memflow.workflow.timers import now, sleep_for, sleep_until, time

__all__ = [
    "ActivityKeywords",
    "CancellationType",
    "ChildHandle",
    "ChildKeywords",
    "ExternalHandle",
    "ParentClosePolicy",
    "RunInfo",
    "cancel",
    "defn",
    "deprecate_patch",
    "did_interrupt",
    "emit",
    "enrich",
    "execute_activity",
    "execute_child",
    "get_external_handle",
    "in_workflow",
    "info",
    "init",
    "logger",
    "now",
    "patched",
    "proxy_activities",
    "random",
    "run",
    "signal",
    "sleep_for",
    "sleep_until",
    "start_activity",
    "start_child",
    "terminate",
    "time",
    "trace",
    "uuid4",
    "wait_condition",
    "wait_for",
]
