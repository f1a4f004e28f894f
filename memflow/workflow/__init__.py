"""Everything that is used to write a workflow.

    @workflow.defn
    async def order(item: str, quantity: int) -> str:
        await workflow.sleep_for("1 hour")
        return await reserve(item, quantity)

Ordinary Python goes on working: `asyncio.gather`, `asyncio.timeout`, `TaskGroup`, `try/except/finally`. What a workflow must
not do is look at the outside world itself; activities do that.
"""

from memflow.core.chain import ContinueAsNewError
from memflow.core.definition import RunInfo
from memflow.core.logs import logger
from memflow.options import CancellationType, ParentClosePolicy
from memflow.scheduling import ActivityKeywords
from memflow.workflow.activities import execute_activity, start_activity
from memflow.workflow.chance import random, uuid4
from memflow.workflow.children import ChildHandle, ChildKeywords, execute_child, start_child
from memflow.workflow.continuing import continue_as_new, continue_as_new_suggested, history_length
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
from memflow.workflow.records import (
    Entity,
    Search,
    enrich,
    entity,
    memo,
    search,
    upsert_memo,
    upsert_search_attributes,
)
from memflow.workflow.signals import signal, wait_condition, wait_for
from memflow.workflow.timers import now, sleep_for, sleep_until, time

__all__ = [
    "ActivityKeywords",
    "CancellationType",
    "ChildHandle",
    "ChildKeywords",
    "ContinueAsNewError",
    "Entity",
    "ExternalHandle",
    "ParentClosePolicy",
    "RunInfo",
    "Search",
    "cancel",
    "continue_as_new",
    "continue_as_new_suggested",
    "defn",
    "deprecate_patch",
    "did_interrupt",
    "emit",
    "enrich",
    "entity",
    "execute_activity",
    "execute_child",
    "get_external_handle",
    "history_length",
    "in_workflow",
    "info",
    "init",
    "logger",
    "memo",
    "now",
    "patched",
    "proxy_activities",
    "random",
    "run",
    "search",
    "signal",
    "sleep_for",
    "sleep_until",
    "start_activity",
    "start_child",
    "terminate",
    "time",
    "trace",
    "upsert_memo",
    "upsert_search_attributes",
    "uuid4",
    "wait_condition",
    "wait_for",
]
