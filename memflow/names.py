"""What ids and names may be, and how new ones are made. A name is taken as it is or refused, never changed or cut."""

from __future__ import annotations

import os
import time
from uuid import NAMESPACE_OID, UUID, uuid5

from memflow.errors import ConfigurationError

MAX_BYTES = 512
"""UTF-8 bytes of one name. A Postgres index row holds some 2,700 bytes; the widest index has three names in it."""

DEFAULT_NAMESPACE = "default"
DEFAULT_QUEUE = "default"

PROGRESS = "memflow.progress"
"""The fact of a run's memo that `workflow.progress` writes."""


def check_name(value: object, *, what: str) -> str:
    """`value` if it can be a name: 1 to 512 bytes of UTF-8 with no control character and no blank at either end.

    Any script, emoji, quotes and slashes are fine. `what` says which name it is: "workflow id", "task queue", "signal id".

    Raises:
        ConfigurationError: it cannot; the message says why.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{what}: a text is needed, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{what}: the text is empty; 1 to {MAX_BYTES} bytes are needed")
    if value.isascii():
        size = len(value)
        # The rule for other scripts below costs ten times as much and this path is taken by nearly every start.
        if value.isprintable() and value[0] != " " and value[-1] != " " and size <= MAX_BYTES:
            return value
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise ConfigurationError(f"{what}: {_short(value)} holds half of a surrogate pair, which is no character") from None
    if size > MAX_BYTES:
        raise ConfigurationError(f"{what}: {_short(value)} has {size} bytes; at most {MAX_BYTES} are possible")
    for position, character in enumerate(value):
        if ord(character) < 32 or 127 <= ord(character) < 160:
            raise ConfigurationError(f"{what}: {_short(value)} has the control character {character!r} at position {position}")
    if value != value.strip():
        raise ConfigurationError(f"{what}: {_short(value)} begins or ends with a blank")
    return value


def new_id() -> str:
    """A new id: a UUID of version 7, whose order is that of time (to the millisecond)."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    # 48 bits of time, 4 of version, 12 of chance, 2 of variant, 62 of chance (RFC 9562).
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | (chance >> 62 & 0xFFF)
    low = 1 << 63 | (chance & (1 << 62) - 1)
    return str(UUID(int=high << 64 | low))


def child_workflow_id(workflow_id: str, run_id: str, op: int) -> str:
    """The id of a child that was given none: the same for each replay, another for each run of the parent."""
    derived = f"{workflow_id}/{run_id[-12:]}-{op}"
    return derived if len(derived.encode()) <= MAX_BYTES else f"{run_id}-{op}"


def child_run_id(run_id: str, op: int) -> str:
    """The run id of the child that operation `op` starts: a function of both, so that a repeat is the same child."""
    return str(uuid5(NAMESPACE_OID, f"memflow child {run_id} {op}"))


def hook_id(run_id: str, op: int) -> str:
    """The id of the hook that operation `op` starts, so that a repeat is the same hook."""
    return str(uuid5(NAMESPACE_OID, f"memflow hook {run_id} {op}"))


def next_run_id(run_id: str) -> str:
    """The run id of the one that goes on where `run_id` ended, so that a repeat of that end is the same next run."""
    return str(uuid5(NAMESPACE_OID, f"memflow next {run_id}"))


def task_token(run: int, op: int, token: UUID | None) -> bytes:
    """How somebody outside names one attempt of an activity."""
    return b"" if token is None else f"{run}.{op}.{token.hex}".encode()


def read_task_token(value: bytes | str) -> tuple[int, int, UUID]:
    """What `task_token` made: run, op, token.

    Raises:
        ConfigurationError: it is no such token.
    """
    try:
        text = value.decode() if isinstance(value, bytes) else value
        run, op, token = text.split(".")
        if not (run.isascii() and run.isdigit() and op.isascii() and op.isdigit()):
            raise ValueError
        found = int(run), int(op), UUID(hex=token)
        if found[0] >= 2**63 or found[1] >= 2**31:
            raise ValueError
        return found
    except (ValueError, UnicodeDecodeError, AttributeError, TypeError):
        raise ConfigurationError("task token: this is none; give activity.info().task_token as it was") from None


def _short(value: str) -> str:
    return repr(value) if len(value) <= 60 else repr(value[:57]) + "..."
