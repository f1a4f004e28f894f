"""What a database error means for a client that may simply try again.

The store translates asyncpg's errors and keeps the original as `__cause__`; its SQLSTATE class tells them apart.
"""

from __future__ import annotations

from memflow.errors import DatabaseError, OutcomeUnknownError, PayloadError

_CONNECTION_CLASSES = ("08", "40", "53", "57", "55")
"""Connection lost, deadlock and serialization, no resources, operator (restart, failover), lock or object not ready."""

_VALUE_CLASSES = ("22", "23", "54")
"""A value Postgres cannot store, a constraint it breaks, a limit it exceeds."""


def _sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def blames_a_value(error: Exception) -> bool:
    """Whether one member's values were refused, so that the others may pass without it."""
    if isinstance(error, PayloadError):                    # a payload codec failed before anything was sent
        return True
    state = _sqlstate(error)
    if state is None:
        return isinstance(error.__cause__, ValueError)      # asyncpg could not even put it on the wire
    return state[:2] in _VALUE_CLASSES


def may_pass(error: Exception) -> bool:
    """Whether asking again later can help: the server restarts, fails over, is full. A missing permission will not pass."""
    if isinstance(error, OutcomeUnknownError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    state, cause = _sqlstate(error), error.__cause__
    if state is not None:
        return state[:2] in _CONNECTION_CLASSES
    # Without a state nothing came from Postgres: the network, or asyncpg about a connection that was closed under it.
    lost = isinstance(cause, OSError | EOFError) or type(cause).__module__.startswith("asyncpg")
    return lost and not isinstance(cause, ValueError)
