"""The client: starts workflows, waits for them, looks at them, talks to them.

Read in this order: `client` (the door), `workflows` and `starting` (a start), `handle` (everything about one workflow),
`batcher` and `waiters` (why many calls cost few statements), `doorbell` (notices and the polling below them), then `events`
and `schedules`.
"""

from memflow.calendars import ScheduleCalendar, ScheduleRange
from memflow.client.client import Client
from memflow.client.describe import HistoryEntry, PendingActivity, Progress, RunDescription, RunSummary, WaitingFor
from memflow.client.escalation_values import Escalation, EscalationStats
from memflow.client.events import Event, Subscription
from memflow.client.handle import Handle
from memflow.client.histories import WorkflowHistory
from memflow.client.pending import PendingActivityHandle
from memflow.client.schedule_handle import ScheduleDescription, ScheduledRun, ScheduleHandle
from memflow.client.schedule_options import ScheduleOptions
from memflow.client.standalone import ActivityStartOptions
from memflow.client.standalone_handle import ActivityDescription, ActivityHandle
from memflow.client.starting import StartOptions
from memflow.firing import Overlap
from memflow.schedule_spec import ScheduleInterval, ScheduleSpec

__all__ = [
    "ActivityDescription",
    "ActivityHandle",
    "ActivityStartOptions",
    "Client",
    "Escalation",
    "EscalationStats",
    "Event",
    "Handle",
    "HistoryEntry",
    "Overlap",
    "PendingActivity",
    "PendingActivityHandle",
    "Progress",
    "RunDescription",
    "RunSummary",
    "ScheduleCalendar",
    "ScheduleDescription",
    "ScheduleHandle",
    "ScheduleInterval",
    "ScheduleOptions",
    "ScheduleRange",
    "ScheduleSpec",
    "ScheduledRun",
    "StartOptions",
    "Subscription",
    "WaitingFor",
    "WorkflowHistory",
]
