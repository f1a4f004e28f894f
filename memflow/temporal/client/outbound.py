"""Client interceptors: what sees the calls of a client pass by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memflow.temporal.client.activity_describing import ActivityExecutionDescription
    from memflow.temporal.client.activity_handle import ActivityHandle
    from memflow.temporal.client.activity_inputs import (
        CancelActivityInput,
        CompleteAsyncActivityInput,
        CountActivitiesInput,
        DescribeActivityInput,
        FailAsyncActivityInput,
        HeartbeatAsyncActivityInput,
        ListActivitiesInput,
        PauseActivityInput,
        ReportCancellationAsyncActivityInput,
        StartActivityInput,
        TerminateActivityInput,
        UnpauseActivityInput,
    )
    from memflow.temporal.client.activity_listing import ActivityExecutionAsyncIterator, ActivityExecutionCount
    from memflow.temporal.client.describing import WorkflowExecutionDescription
    from memflow.temporal.client.handle import WorkflowHandle
    from memflow.temporal.client.histories import WorkflowHistoryEventAsyncIterator
    from memflow.temporal.client.inputs import (
        CancelWorkflowInput,
        CountWorkflowsInput,
        DescribeWorkflowInput,
        FetchWorkflowHistoryEventsInput,
        ListWorkflowsInput,
        QueryWorkflowInput,
        SignalWorkflowInput,
        StartWorkflowInput,
        StartWorkflowUpdateInput,
        StartWorkflowUpdateWithStartInput,
        TerminateWorkflowInput,
    )
    from memflow.temporal.client.listing import WorkflowExecutionAsyncIterator, WorkflowExecutionCount
    from memflow.temporal.client.schedule_handle import ScheduleAsyncIterator, ScheduleHandle
    from memflow.temporal.client.schedule_inputs import (
        BackfillScheduleInput,
        CreateScheduleInput,
        DeleteScheduleInput,
        DescribeScheduleInput,
        ListSchedulesInput,
        PauseScheduleInput,
        TriggerScheduleInput,
        UnpauseScheduleInput,
        UpdateScheduleInput,
    )
    from memflow.temporal.client.schedules import ScheduleDescription
    from memflow.temporal.client.updates import WorkflowUpdateHandle


class OutboundInterceptor:
    """What a client asks."""

    def __init__(self, next: OutboundInterceptor) -> None:
        self.next = next

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        """A workflow is started."""
        return await self.next.start_workflow(input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        """A workflow is cancelled."""
        await self.next.cancel_workflow(input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        """A workflow is described."""
        return await self.next.describe_workflow(input)

    def fetch_workflow_history_events(self, input: FetchWorkflowHistoryEventsInput) -> WorkflowHistoryEventAsyncIterator:
        """A history is read."""
        return self.next.fetch_workflow_history_events(input)

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        """Workflows are listed."""
        return self.next.list_workflows(input)

    async def count_workflows(self, input: CountWorkflowsInput) -> WorkflowExecutionCount:
        """Workflows are counted."""
        return await self.next.count_workflows(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        """A workflow is asked."""
        return await self.next.query_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        """A workflow is sent a signal."""
        await self.next.signal_workflow(input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        """A workflow is terminated."""
        await self.next.terminate_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        """A workflow is sent an update."""
        return await self.next.start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        """A workflow is sent an update, and started if there is none."""
        return await self.next.start_update_with_start_workflow(input)

    async def heartbeat_async_activity(self, input: HeartbeatAsyncActivityInput) -> None:
        """An activity that was left open is said to be alive."""
        await self.next.heartbeat_async_activity(input)

    async def complete_async_activity(self, input: CompleteAsyncActivityInput) -> None:
        """An activity that was left open is completed."""
        await self.next.complete_async_activity(input)

    async def fail_async_activity(self, input: FailAsyncActivityInput) -> None:
        """An activity that was left open is failed."""
        await self.next.fail_async_activity(input)

    async def report_cancellation_async_activity(self, input: ReportCancellationAsyncActivityInput) -> None:
        """An activity that was left open is said to be cancelled."""
        await self.next.report_cancellation_async_activity(input)

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        """An activity is started without a workflow."""
        return await self.next.start_activity(input)

    async def cancel_activity(self, input: CancelActivityInput) -> None:
        """A standalone activity is cancelled."""
        await self.next.cancel_activity(input)

    async def terminate_activity(self, input: TerminateActivityInput) -> None:
        """A standalone activity is terminated."""
        await self.next.terminate_activity(input)

    async def describe_activity(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        """A standalone activity is described."""
        return await self.next.describe_activity(input)

    async def pause_activity(self, input: PauseActivityInput) -> None:
        """A standalone activity is paused."""
        await self.next.pause_activity(input)

    async def unpause_activity(self, input: UnpauseActivityInput) -> None:
        """A standalone activity goes on."""
        await self.next.unpause_activity(input)

    def list_activities(self, input: ListActivitiesInput) -> ActivityExecutionAsyncIterator:
        """Standalone activities are listed."""
        return self.next.list_activities(input)

    async def count_activities(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        """Standalone activities are counted."""
        return await self.next.count_activities(input)

    async def create_schedule(self, input: CreateScheduleInput) -> ScheduleHandle:
        """A schedule is created."""
        return await self.next.create_schedule(input)

    def list_schedules(self, input: ListSchedulesInput) -> ScheduleAsyncIterator:
        """Schedules are listed."""
        return self.next.list_schedules(input)

    async def backfill_schedule(self, input: BackfillScheduleInput) -> None:
        """A schedule catches up."""
        await self.next.backfill_schedule(input)

    async def delete_schedule(self, input: DeleteScheduleInput) -> None:
        """A schedule is deleted."""
        await self.next.delete_schedule(input)

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:
        """A schedule is described."""
        return await self.next.describe_schedule(input)

    async def pause_schedule(self, input: PauseScheduleInput) -> None:
        """A schedule is paused."""
        await self.next.pause_schedule(input)

    async def trigger_schedule(self, input: TriggerScheduleInput) -> None:
        """A schedule fires now."""
        await self.next.trigger_schedule(input)

    async def unpause_schedule(self, input: UnpauseScheduleInput) -> None:
        """A schedule goes on."""
        await self.next.unpause_schedule(input)

    async def update_schedule(self, input: UpdateScheduleInput) -> None:
        """A schedule is changed."""
        await self.next.update_schedule(input)


class Interceptor:
    """A client interceptor. One that is a worker interceptor too applies to the workers of its client."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Wrap what the client asks."""
        return next
