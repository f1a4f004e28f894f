"""Everything that is used to write a workflow.

    @workflow.defn
    async def order(item: str, quantity: int) -> str:
        await workflow.sleep_for("1 hour")
        return await reserve(item, quantity)

Ordinary Python goes on working: `asyncio.gather`, `asyncio.timeout`, `TaskGroup`, `try/except/finally`. What a workflow must
not do is look at the outside world itself; activities do that.
"""

from memflow.core.definition import RunInfo
from memflow.core.handlers import UpdateInfo
from memflow.core.logs import logger
from memflow.options import CancellationType, HandlerUnfinishedPolicy, ParentClosePolicy
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
from memflow.workflow.handlers import (
    all_handlers_finished,
    current_update_info,
    get_dynamic_query_handler,
    get_dynamic_signal_handler,
    get_dynamic_update_handler,
    get_query_handler,
    get_signal_handler,
    get_update_handler,
    instance,
    query,
    set_dynamic_query_handler,
    set_dynamic_signal_handler,
    set_dynamic_update_handler,
    set_query_handler,
    set_signal_handler,
    set_update_handler,
    update,
)
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
    "HandlerUnfinishedPolicy",
    "ParentClosePolicy",
    "RunInfo",
    "UpdateInfo",
    "all_handlers_finished",
    "cancel",
    "current_update_info",
    "defn",
    "did_interrupt",
    "emit",
    "enrich",
    "execute_activity",
    "execute_child",
    "get_dynamic_query_handler",
    "get_dynamic_signal_handler",
    "get_dynamic_update_handler",
    "get_external_handle",
    "get_query_handler",
    "get_signal_handler",
    "get_update_handler",
    "in_workflow",
    "info",
    "init",
    "instance",
    "logger",
    "now",
    "proxy_activities",
    "query",
    "random",
    "run",
    "set_dynamic_query_handler",
    "set_dynamic_signal_handler",
    "set_dynamic_update_handler",
    "set_query_handler",
    "set_signal_handler",
    "set_update_handler",
    "signal",
    "sleep_for",
    "sleep_until",
    "start_activity",
    "start_child",
    "terminate",
    "time",
    "trace",
    "update",
    "uuid4",
    "wait_condition",
    "wait_for",
]
