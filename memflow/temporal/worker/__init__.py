"""Workers as Temporal's programs make them."""

from memflow.temporal.common import WorkerDeploymentVersion
from memflow.temporal.interception import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ContinueAsNewInput,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from memflow.temporal.missing import not_offered
from memflow.temporal.worker import _workflow_instance as _workflow_instance
from memflow.temporal.worker.plugins import Plugin
from memflow.temporal.worker.replaying import Replayer, ReplayerConfig, WorkflowReplayResult, WorkflowReplayResults
from memflow.temporal.worker.runners import UnsandboxedWorkflowRunner, WorkflowRunner
from memflow.temporal.worker.shared import SharedHeartbeatSender, SharedStateManager
from memflow.temporal.worker.tuning import (
    ActivitySlotInfo,
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    LocalActivitySlotInfo,
    PollerBehavior,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    ResourceBasedSlotConfig,
    ResourceBasedSlotSupplier,
    ResourceBasedTunerConfig,
    SlotInfo,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
    WorkerTuner,
    WorkflowSlotInfo,
)
from memflow.temporal.worker.worker import PatchActivationInput, Worker, WorkerConfig, WorkerDeploymentConfig

__all__ = [
    "ActivityInboundInterceptor",
    "ActivityOutboundInterceptor",
    "ActivitySlotInfo",
    "ContinueAsNewInput",
    "CustomSlotSupplier",
    "ExecuteActivityInput",
    "ExecuteWorkflowInput",
    "FixedSizeSlotSupplier",
    "HandleQueryInput",
    "HandleSignalInput",
    "HandleUpdateInput",
    "Interceptor",
    "LocalActivitySlotInfo",
    "PatchActivationInput",
    "Plugin",
    "PollerBehavior",
    "PollerBehaviorAutoscaling",
    "PollerBehaviorSimpleMaximum",
    "Replayer",
    "ReplayerConfig",
    "ResourceBasedSlotConfig",
    "ResourceBasedSlotSupplier",
    "ResourceBasedTunerConfig",
    "SharedHeartbeatSender",
    "SharedStateManager",
    "SignalChildWorkflowInput",
    "SignalExternalWorkflowInput",
    "SlotInfo",
    "SlotMarkUsedContext",
    "SlotPermit",
    "SlotReleaseContext",
    "SlotReserveContext",
    "StartActivityInput",
    "StartChildWorkflowInput",
    "StartLocalActivityInput",
    "UnsandboxedWorkflowRunner",
    "Worker",
    "WorkerConfig",
    "WorkerDeploymentConfig",
    "WorkerDeploymentVersion",
    "WorkerTuner",
    "WorkflowInboundInterceptor",
    "WorkflowInterceptorClassInput",
    "WorkflowOutboundInterceptor",
    "WorkflowReplayResult",
    "WorkflowReplayResults",
    "WorkflowRunner",
    "WorkflowSlotInfo",
]

_NO_NEXUS = "there is no Nexus; call the other side's client in an activity"
__getattr__ = not_offered(
    __name__,
    {
        "NexusSlotInfo": _NO_NEXUS,
        "StartNexusOperationInput": _NO_NEXUS,
        "ExecuteNexusOperationCancelInput": _NO_NEXUS,
        "ExecuteNexusOperationStartInput": _NO_NEXUS,
        "NexusOperationInboundInterceptor": _NO_NEXUS,
        "WorkflowInstance": "there is no instance to make; memflow's replay runs workflows",
        "WorkflowInstanceDetails": "there is no instance to make; memflow's replay runs workflows",
    },
)
