"""The worker: claims runs, replays them, runs activities, commits in groups.

Read in this order: `worker` (the door), `engine` (the loops), `claims`, `resident`, `committer` (advance, commit, act),
`activities` and `queued` (activity functions), then `liveness`, `guard`, `watchdog`, `cache`.
"""

from memflow.worker.worker import Worker

__all__ = ["Worker"]
