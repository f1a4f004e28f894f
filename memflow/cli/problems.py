"""What went wrong, as three lines on stderr: what, why, and what to do next; and the exit codes, which are a promise."""

from __future__ import annotations

import os
from enum import IntEnum

from memflow import errors


class Exit(IntEnum):
    """How a command ends."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    RUN_FAILED = 4
    TIMED_OUT = 5
    MISMATCH = 6
    INTERRUPTED = 130


class Problem(Exception):
    """A command cannot do what it was asked. `what`, `why` and `then` are one line each."""

    def __init__(self, what: str, *, why: str, then: str, code: Exit = Exit.ERROR) -> None:
        self.what = what
        self.why = why
        self.then = then
        self.code = code
        super().__init__(what)

    def __str__(self) -> str:
        return f"memflow: {self.what}\n  why   {self.why}\n  next  {self.then}"


_KINDS: tuple[tuple[type[BaseException], str, str, Exit], ...] = (
    (errors.WorkflowNotFoundError, "not found", "memflow run list", Exit.NOT_FOUND),
    (errors.ScheduleNotFoundError, "not found", "memflow schedule list", Exit.NOT_FOUND),
    (errors.ActivityNotFoundError, "no such activity is pending", "memflow run describe ID", Exit.NOT_FOUND),
    (errors.WorkflowAlreadyStartedError, "the workflow id is taken", "choose another --id, or --on-conflict", Exit.ERROR),
    (errors.WorkflowClosedError, "the run has ended", "memflow run describe ID", Exit.ERROR),
    (errors.QueryFailedError, "the query failed", "memflow run describe ID", Exit.ERROR),
    (errors.UpdateFailedError, "the update failed", "memflow run show ID", Exit.ERROR),
    (errors.EscalationError, "not done", "memflow escalation list --status all", Exit.ERROR),
    (errors.WorkflowFailedError, "the run did not complete", "memflow run show ID", Exit.RUN_FAILED),
    (errors.NondeterminismError, "the code does not fit the journal", "memflow run describe ID", Exit.MISMATCH),
    (errors.SchemaError, "the database's schema does not fit this version of memflow", "memflow db migrate", Exit.ERROR),
    (errors.DatabaseError, "cannot use the database", "check --dsn, or the environment variable MEMFLOW_DSN", Exit.ERROR),
    (errors.ConfigurationError, "cannot work like this", "memflow COMMAND --help", Exit.USAGE),
    (errors.MemflowError, "failed", "try again with -v for the traceback", Exit.ERROR),
    (TimeoutError, "waited in vain", "wait longer, or: memflow run describe ID", Exit.TIMED_OUT),
)


def problem_of(error: Exception) -> Problem:
    """An error as a problem to print."""
    if isinstance(error, Problem):
        return error
    together: tuple[Exception, ...] = getattr(error, "exceptions", ())      # of an ExceptionGroup
    if len(together) == 1:
        return problem_of(together[0])
    why = " ".join(str(error).split()) or type(error).__name__
    for kind, what, then, code in _KINDS:
        if isinstance(error, kind):
            return Problem(what, why=why, then=then, code=code)
    return Problem(f"unexpected {type(error).__name__}", why=why, then="try again with -v for the traceback, and report it")


def names_database(dsn: str | None) -> str:
    """Which database a command uses, for messages: without the password."""
    found = dsn or os.environ.get("MEMFLOW_DSN")
    return masked(found) if found else "the embedded Postgres of this project"


def masked(dsn: str) -> str:
    """A DSN that may be shown."""
    from urllib.parse import urlsplit

    parts = urlsplit(dsn)
    if not parts.netloc:
        return "a database given by --dsn"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = parts._replace(netloc=f"{name}{':•••' if colon else ''}{at}{host}", query="", fragment="")
    return shown.geturl()
