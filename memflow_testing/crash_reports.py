"""What `crash_everywhere` found, for programs and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from memflow_testing.crash_points import CrashPoint


@dataclass(frozen=True, slots=True)
class CrashFinding:
    """What went wrong, and where the worker was killed for it to go wrong."""

    point: CrashPoint
    what: str
    line: str | None = None
    """The line of the workflow that awaits what was in hand there, if that is known."""

    @property
    def seq(self) -> int | None:
        """The last entry of the commit at which it was killed, if it was at one."""
        return self.point.moment.at if self.point.moment.verb == "commit" else None

    @property
    def kind(self) -> str | None:
        """What that entry is, such as `activity_completed`."""
        return self.point.moment.kinds[-1] if self.point.moment.kinds else None

    def __str__(self) -> str:
        line = "" if self.line is None else f", awaited at {self.line}"
        return f"{self.point}{line}:\n    " + self.what.replace("\n", "\n    ")


@dataclass(slots=True)
class CrashReport:
    """What `crash_everywhere` did. Its text is a summary of one line, and the findings."""

    points: int
    """Points there are."""
    tried: int = 0
    tried_at: list[CrashPoint] = field(default_factory=list[CrashPoint])
    """Those that were tried, in order."""
    missed: list[CrashPoint] = field(default_factory=list[CrashPoint])
    """Points that did not come up again: what the test does at once came in another order."""
    accepted: Counter[str] = field(default_factory=Counter[str])
    """Activities that took effect again, as `ignore` allows, by how many runs of the test."""
    unsteady: list[str] = field(default_factory=list[str])
    """What differed between two runs without a crash, and so was not compared."""
    findings: list[CrashFinding] = field(default_factory=list[CrashFinding])
    seed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"crash_everywhere: {self.tried} of {self.points} crash points in {self.seconds:.1f} s"]
        if self.tried < self.points:
            parts.append(f"chosen by seed {self.seed}")
        if self.missed:
            parts.append(f"{len(self.missed)} did not come up again")
        if self.accepted:
            parts.append("repeated as accepted: " + ", ".join(sorted(self.accepted)))
        if self.unsteady:
            parts.append("not compared, since it differs without a crash: " + ", ".join(self.unsteady))
        parts.append(f"{len(self.findings)} findings" if self.findings else "nothing found")
        return "\n\n  ".join(["; ".join(parts), *(str(each).replace("\n", "\n  ") for each in self.findings)])


class CrashError(AssertionError):
    """A crash changed what the test does. The message names the entry, what came out, and what would have."""

    def __init__(self, report: CrashReport) -> None:
        self.report = report
        super().__init__(str(report))

    @property
    def findings(self) -> list[CrashFinding]:
        """What was found."""
        return self.report.findings
