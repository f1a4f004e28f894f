"""asyncpg's errors as ours, and the two questions that decide what comes next: was it heard, and does a repeat help?"""

from __future__ import annotations

from enum import Enum
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from memflow.errors import ConfigurationError, DatabaseError, MemflowError, OutcomeUnknownError, SchemaError

Lost = (OSError, EOFError, TimeoutError, asyncpg.InternalClientError)


class Fault(Enum):
    """What an error says about the statement that met it."""

    REFUSED = "refused"        # Postgres said no, and will again
    PASSING = "passing"        # rolled back or never begun; the same statement may pass the next time
    LOST = "lost"              # the connection broke: it may have been heard
    POOLER = "pooler"          # prepared statements do not survive between statements here
    DATA = "data"              # one of the values cannot be stored


_STATES: dict[str, Fault] = {
    "26000": Fault.POOLER,     # prepared statement does not exist
    "42P05": Fault.POOLER,     # prepared statement exists already
    "40001": Fault.PASSING,    # serialization failure
    "40P01": Fault.PASSING,    # deadlock
    "55P03": Fault.PASSING,    # lock_timeout
    "57014": Fault.PASSING,    # statement_timeout, or cancelled by an administrator
    "25006": Fault.PASSING,    # read only: the old primary after a failover
    "53300": Fault.PASSING,    # too many connections
    "57P03": Fault.PASSING,    # starting up
    "57P01": Fault.LOST,       # shut down by an administrator; may come after the commit
    "57P02": Fault.LOST,       # crash of another backend
    "57P05": Fault.LOST,       # idle session timeout
    "25P03": Fault.LOST,       # idle in transaction timeout
    "0A000": Fault.REFUSED,
}
_CLASSES: dict[str, Fault] = {"08": Fault.LOST, "22": Fault.DATA, "23": Fault.DATA, "54": Fault.DATA}


def fault_of(error: BaseException) -> Fault:
    """Judge an error that a statement met."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Fault.PASSING                             # the tables changed under a prepared statement; asyncpg drops it
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return _STATES.get(state) or _CLASSES.get(state[:2], Fault.REFUSED)
    if isinstance(error, Lost):
        return Fault.LOST
    if isinstance(error, asyncpg.InterfaceError):
        # Nothing was sent. A connection that closed while it was idle is a matter of the next one; the rest are defects.
        return Fault.PASSING if "closed" in str(error) else Fault.REFUSED
    return Fault.REFUSED


def translated(error: BaseException, *, secrets: tuple[str, ...] = (), doing: str | None = None) -> MemflowError:
    """Our error for one of asyncpg's: one line, without passwords. The caller raises it `from` the original."""
    # Of Postgres' errors only the message: detail and hint may hold the contents of rows.
    said = getattr(error, "message", None) if isinstance(error, asyncpg.PostgresError) else None
    text = " ".join((said or str(error)).split()) or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "***")
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
        text = f"{text} (SQLSTATE {error.sqlstate})"
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedFunctionError | asyncpg.InvalidSchemaNameError):
        return SchemaError(f"the memflow schema is missing or older than this library: {text}; run `memflow db migrate`")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return ConfigurationError(f"the DSN cannot be read: {text}")
    what = "Postgres cannot be reached" if isinstance(error, Lost) else "Postgres refused"
    return DatabaseError(f"{what}{'' if doing is None else f' ({doing})'}: {text}")


def unknown(doing: str) -> OutcomeUnknownError:
    """The connection broke while a statement that cannot simply be repeated was under way."""
    return OutcomeUnknownError(
        f"the connection broke during {doing}: it may have happened; repeating it with the same id or request id is safe"
    )


def secrets_of(dsn: str | None) -> tuple[str, ...]:
    """The texts of a DSN that must show nowhere."""
    if dsn is None:
        return ()
    try:
        password = urlsplit(dsn).password
    except ValueError:
        # Unreadable as a whole; what stands between the first ':' after '//' and the last '@' may be the password.
        password = dsn.partition("//")[2].rpartition("@")[0].partition(":")[2] or None
    if not password:
        return ()
    return tuple({password, unquote(password), quote(unquote(password)), quote(unquote(password), safe="")})
