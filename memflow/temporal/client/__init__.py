"""Clients as Temporal's programs make them."""

from memflow.temporal.attempt import ActivityCancellationDetails
from memflow.temporal.client.activities import ActivityHandle, AsyncActivityHandle, AsyncActivityIDReference
from memflow.temporal.client.client import Client, ClientConfig, ClientConnectConfig
from memflow.temporal.client.describing import (
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from memflow.temporal.client.errors import (
    ActivityExecutionStatus,
    ActivityFailureError,
    AsyncActivityCancelledError,
    RPCTimeoutOrCancelledError,
    ScheduleAlreadyRunningError,
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from memflow.temporal.client.handle import WorkflowHandle
from memflow.temporal.client.histories import (
    WorkflowHistory,
    WorkflowHistoryEventAsyncIterator,
    WorkflowHistoryEventFilterType,
)
from memflow.temporal.client.inputs import *  # noqa: F403
from memflow.temporal.client.inputs import Interceptor, OutboundInterceptor
from memflow.temporal.client.listing import (
    WorkflowExecutionAsyncIterator,
    WorkflowExecutionCount,
    WorkflowExecutionCountAggregationGroup,
)
from memflow.temporal.client.plugins import Plugin
from memflow.temporal.client.updates import WorkflowUpdateHandle, WorkflowUpdateStage
from memflow.temporal.client.with_start import WithStartWorkflowOperation
from memflow.temporal.service import (
    ConnectConfig,
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    RPCError,
    RPCStatusCode,
    ServiceClient,
    TLSConfig,
)
