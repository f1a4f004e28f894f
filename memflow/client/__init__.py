"""The client: starts workflows, waits for them, looks at them, talks to them.

Read in this order: `client` (the door), `workflows` and `starting` (a start), `handle` (everything about one workflow),
`batcher` and `waiters` (why many calls cost few statements), `doorbell` (notices and the polling below them), then `events`.
"""

from memflow.client.client import Client
from memflow.client.describe import HistoryEntry, PendingActivity, RunDescription, RunSummary, WaitingFor
from memflow.client.events import Event, Subscription
from memflow.client.handle import Handle
from memflow.client.histories import WorkflowHistory
from memflow.client.starting import StartOptions

__all__ = [
    "Client",
    "Event",
    "Handle",
    "HistoryEntry",
    "PendingActivity",
    "RunDescription",
    "RunSummary",
    "StartOptions",
    "Subscription",
    "WaitingFor",
    "WorkflowHistory",
]
