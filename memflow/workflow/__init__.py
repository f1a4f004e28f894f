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
from memflow.core.handlers import UpdateInfo
from memflow.core.logs import logger
from memflow.errors import UnfinishedSignalHandlersWarning, UnfinishedUpdateHandlersWarning
from memflow.options import CancellationType, HandlerUnfinishedPolicy, ParentClosePolicy, VersioningBehavior
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
from memflow.workflow.escalations import Escalation
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
from memflow.workflow.hooks import exec_hook, exec_hook_batch, hook
from memflow.workflow.local_activities import execute_local_activity, start_local_activity
from memflow.workflow.patches import deprecate_patch, patched
from memflow.workflow.proxies import proxy_activities
from memflow.workflow.records import (
    Entity,
    Search,
    enrich,
    entity,
    memo,
    progress,
    search,
    upsert_memo,
    upsert_search_attributes,
)
from memflow.workflow.recurring import get_last_completion_result, get_last_failure, has_last_completion_result
from memflow.workflow.signals import signal, wait_condition, wait_for
from memflow.workflow.timers import now, sleep_for, sleep_until, time

__all__ = [
    "ActivityKeywords",
    "CancellationType",
    "ChildHandle",
    "ChildKeywords",
    "ContinueAsNewError",
    "Entity",
    "Escalation",
    "ExternalHandle",
    "HandlerUnfinishedPolicy",
    "ParentClosePolicy",
    "RunInfo",
    "Search",
    "UnfinishedSignalHandlersWarning",
    "UnfinishedUpdateHandlersWarning",
    "UpdateInfo",
    "VersioningBehavior",
    "all_handlers_finished",
    "cancel",
    "continue_as_new",
    "continue_as_new_suggested",
    "current_update_info",
    "defn",
    "deprecate_patch",
    "did_interrupt",
    "emit",
    "enrich",
    "entity",
    "exec_hook",
    "exec_hook_batch",
    "execute_activity",
    "execute_child",
    "execute_local_activity",
    "get_dynamic_query_handler",
    "get_dynamic_signal_handler",
    "get_dynamic_update_handler",
    "get_external_handle",
    "get_last_completion_result",
    "get_last_failure",
    "get_query_handler",
    "get_signal_handler",
    "get_update_handler",
    "has_last_completion_result",
    "history_length",
    "hook",
    "in_workflow",
    "info",
    "init",
    "instance",
    "logger",
    "memo",
    "now",
    "patched",
    "progress",
    "proxy_activities",
    "query",
    "random",
    "run",
    "search",
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
    "start_local_activity",
    "terminate",
    "time",
    "trace",
    "update",
    "upsert_memo",
    "upsert_search_attributes",
    "uuid4",
    "wait_condition",
    "wait_for",
]
