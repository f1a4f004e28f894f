"""An error as data, for the journal. `failure_of` and `exception_of` turn one into the other.

Classes are never imported by a stored name: what user code raised comes back as `ApplicationError` with the class' name as
its `type`. Nothing here raises, however hostile the exception: a failure that cannot be described is still a failure.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, cast, get_args

from memflow import errors
from memflow.codec import Codec
from memflow.duration import to_timedelta
from memflow.fidelity import type_of
from memflow.payload import Payload, Unreadable

FailureKind = Literal["application", "cancelled", "terminated", "timeout", "activity", "child", "hook"]

LONGEST_TEXT = 65_536
"""Characters kept of a message or a stack: more helps nobody, and a row of megabytes hurts every reader."""

DEEPEST_CHAIN = 20
"""Causes kept; a longer chain ends with a note."""

FINAL_TIMEOUTS = frozenset({"schedule_to_close", "schedule_to_start", "execution", "run"})
"""Timeouts that cover all attempts together, so that another attempt could not meet them."""

ENCODING = "failure"


@dataclass(frozen=True, slots=True)
class Failure:
    """One error of a cause chain.

    `type` is the application type that retry policies match on. `facts` hold what else the error class has
    (activity, activity_id, attempt, retry_state, workflow, workflow_id, run_id, timeout kind, reason), as text or numbers.
    """

    kind: FailureKind
    message: str
    type: str | None = None
    non_retryable: bool = False
    next_retry_delay: float | None = None
    details: Payload | None = None
    stack: str | None = None
    cause: Failure | None = None
    facts: Mapping[str, str | int | None] = field(default_factory=dict[str, str | int | None])
    sealed: Payload | None = None
    """The failure as it is stored, where only its bytes are at hand: on its way to Postgres, or unreadable."""


def is_retryable(failure: Failure) -> bool:
    """Whether another attempt may help at all. What a policy allows beyond that is the policy's business."""
    if failure.non_retryable or failure.kind in ("cancelled", "terminated"):
        return False
    return not (failure.kind == "timeout" and failure.facts.get("kind") in FINAL_TIMEOUTS)


# ------------------------------------------------------------------------------------------------- error -> failure


class FailureCodec(Codec, Protocol):
    """A codec with a say in how errors are described and read back. None leaves it to this module."""

    def describe(self, error: BaseException) -> Failure | None:
        """The failure of an error, causes included. Never raises."""
        ...

    def error_of(self, failure: Failure) -> errors.FailureError | None:
        """The error of a failure, its cause and stack apart. Never raises."""
        ...

    def whole_error_of(self, failure: Failure) -> errors.FailureError | None:
        """The error of a failure with everything that belongs to it. Never raises."""
        ...


def _say_of(codec: Codec) -> FailureCodec | None:
    return cast("FailureCodec", codec) if hasattr(codec, "whole_error_of") else None


def failure_of(error: BaseException, codec: Codec) -> Failure:
    """Describe `error` and its causes (`__cause__`), with stacks as text. Never raises.

    An exception group counts as its first member's consequence: its message lists the members, its cause is the first
    one, and it is not retryable if one of them is not.
    """
    own = _say_of(codec)
    described = None if own is None else own.describe(error)
    if described is not None:
        return described
    chain: list[BaseException] = []
    cut = False
    current: BaseException | None = error
    while current is not None:
        if any(current is seen for seen in chain):
            break
        if len(chain) == DEEPEST_CHAIN:
            cut = True
            break
        chain.append(current)
        current = _cause_of(current)
    failure: Failure | None = None
    if cut:
        failure = Failure("application", f"further causes were dropped after {DEEPEST_CHAIN}", type="CausesDropped")
    for one in reversed(chain):
        failure = _describe(one, failure, codec)
    assert failure is not None, "a chain has at least the error itself"
    return failure


def _category_of(error: errors.ApplicationError) -> dict[str, str | int | None]:
    """How bad it is, where errors of another API say so."""
    category = _whole(getattr(error, "category", None))
    return {"category": category} if category else {}


def _cause_of(error: BaseException) -> BaseException | None:
    cause = getattr(error, "failure_cause", error.__cause__)     # errors of another API may tell more than they were raised from
    members = _members(error)
    return members[0] if cause is None and members else cause


def _members(error: BaseException) -> Sequence[BaseException]:
    """What an exception group holds; nothing for other errors."""
    return getattr(error, "exceptions", ()) if issubclass(type(error), BaseExceptionGroup) else ()


def _describe(error: BaseException, cause: Failure | None, codec: Codec) -> Failure:
    stack = _stack_of(error)
    message = _message_of(error)
    match error:
        case errors.ApplicationError():
            return Failure(
                "application",
                message,
                type=_text(error.type) or getattr(error, "untyped_name", type(error).__name__),
                non_retryable=bool(error.non_retryable),
                next_retry_delay=_seconds(error.next_retry_delay),
                details=_details(error.details, codec),
                stack=stack,
                cause=cause,
                facts=_category_of(error),
            )
        case errors.CancelledError():
            return Failure("cancelled", message, details=_details(error.details, codec), stack=stack, cause=cause)
        case asyncio.CancelledError():
            return Failure("cancelled", message or "cancelled", stack=stack, cause=cause)
        case errors.TerminatedError():
            return Failure("terminated", message, stack=stack, cause=cause, facts={"reason": _text(error.reason)})
        case errors.TimeoutError():
            heartbeat = _details(error.heartbeat_details, codec)
            return Failure("timeout", message, details=heartbeat, stack=stack, cause=cause, facts={"kind": _text(error.kind)})
        case errors.ActivityError():
            of_activity = {
                "activity": _text(error.activity),
                "activity_id": _text(error.activity_id),
                "attempt": _whole(error.attempt),
                "retry_state": _text(error.retry_state),
            }
            return Failure("activity", message, stack=stack, cause=cause, facts=of_activity)
        case errors.ChildWorkflowError():
            of_child = {
                "workflow": _text(error.workflow),
                "workflow_id": _text(error.workflow_id),
                "run_id": _text(error.run_id),
            }
            return Failure("child", message, stack=stack, cause=cause, facts=of_child)
        case errors.HookError():
            of_hook = {"hook": _text(error.hook), "workflow_id": _text(error.workflow_id), "run_id": _text(error.run_id)}
            return Failure("hook", message, stack=stack, cause=cause, facts=of_hook)
        case _:
            final = any(isinstance(one, errors.ApplicationError) and one.non_retryable for one in _leaves(error))
            return Failure("application", message, type=type(error).__name__, non_retryable=final, stack=stack, cause=cause)


def _leaves(group: BaseException) -> list[BaseException]:
    """The members of a group and of the groups in it."""
    found: list[BaseException] = []
    waiting = list(_members(group))
    while waiting:
        one = waiting.pop()
        inner = _members(one)
        waiting.extend(inner)
        if not inner:
            found.append(one)
    return found


def _message_of(error: BaseException) -> str:
    try:
        text = error.message if isinstance(error, errors.FailureError) else str(error)
        members = _members(error)
        if members:
            text += ": " + "; ".join(f"{type(one).__name__}: {_message_of(one)}" for one in members[:10])
            text += "; ..." if len(members) > 10 else ""
        return _cut(text)
    except Exception as problem:
        return f"<the text of this {type(error).__name__} could not be read: its __str__ raised {type(problem).__name__}>"


def _stack_of(error: BaseException) -> str | None:
    """Where it was raised. An error that came out of a journal keeps the stack it came with."""
    try:
        if isinstance(error, errors.FailureError) and isinstance(error.stack_trace, str):
            return _cut(error.stack_trace)
        if error.__traceback__ is None:
            return None
        # A group's own text holds its members' stacks; causes have stacks of their own in the chain.
        lines = (
            traceback.format_exception(type(error), error, error.__traceback__, chain=False)
            if _members(error)
            else traceback.format_tb(error.__traceback__)
        )
        return _cut("".join(lines), keep_end=True)
    except Exception:
        return None


def _details(values: Any, codec: Codec) -> Payload | None:
    try:
        listed = list(values)
    except Exception:
        listed = [values]
    if not listed:
        return None
    try:
        return codec.encode(listed)
    except Exception:
        pass
    try:
        return codec.encode([_encodable(value, codec) for value in listed])
    except Exception:
        return None


def _encodable(value: Any, codec: Codec) -> Any:
    """The value itself, else with its own type as the hint, else its `repr`."""
    try:
        codec.encode(value)
        return value
    except Exception:
        pass
    try:
        return codec.decode(codec.encode(value, type(value)))
    except Exception:
        pass
    try:
        return _cut(repr(value), limit=2_000)
    except Exception:
        return f"<{type(value).__name__}, which cannot be shown>"


def _seconds(delay: Any) -> float | None:
    if delay is None:
        return None
    try:
        return to_timedelta(delay, what="next_retry_delay").total_seconds()
    except Exception:
        return None                          # an unreadable wish leaves the policy's own delay


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None or type(value) is str else str.__str__(value)
    try:
        return _cut(str(value))
    except Exception:
        return type(value).__name__


def _cut(text: str, *, limit: int = LONGEST_TEXT, keep_end: bool = False) -> str:
    if len(text) <= limit:
        return str.__str__(text)
    note = f"\n... {len(text) - limit} of {len(text)} characters left out ...\n"
    if keep_end:
        return text[: limit // 4] + note + text[-(limit - limit // 4) :]
    return text[:limit] + note.rstrip("\n")


# ------------------------------------------------------------------------------------------------- failure -> error


def exception_of(failure: Failure, codec: Codec) -> errors.FailureError:
    """The error that people see, its causes in `__cause__`, its stack in `stack_trace`. Never raises."""
    own = _say_of(codec)
    whole = None if own is None else own.whole_error_of(failure)
    if whole is not None:
        return whole
    error = (None if own is None else own.error_of(failure)) or _error_of(failure, codec)
    error.stack_trace = failure.stack
    if failure.cause is not None:
        error.__cause__ = exception_of(failure.cause, codec)
    return error


def _error_of(failure: Failure, codec: Codec) -> errors.FailureError:
    facts = failure.facts
    match failure.kind:
        case "cancelled":
            return errors.CancelledError(failure.message, *_values(failure.details, codec))
        case "terminated":
            return errors.TerminatedError(failure.message, reason=_fact(facts, "reason"))
        case "timeout":
            return errors.TimeoutError(
                failure.message,
                kind=_fact(facts, "kind") or "start_to_close",
                heartbeat_details=_values(failure.details, codec),
            )
        case "activity":
            attempt = facts.get("attempt")
            return errors.ActivityError(
                failure.message,
                activity=_fact(facts, "activity") or "",
                activity_id=_fact(facts, "activity_id") or "",
                attempt=attempt if isinstance(attempt, int) else 1,
                retry_state=_fact(facts, "retry_state"),
            )
        case "child":
            return errors.ChildWorkflowError(
                failure.message,
                workflow=_fact(facts, "workflow") or "",
                workflow_id=_fact(facts, "workflow_id") or "",
                run_id=_fact(facts, "run_id"),
            )
        case "hook":
            return errors.HookError(
                failure.message,
                hook=_fact(facts, "hook") or "",
                workflow_id=_fact(facts, "workflow_id") or "",
                run_id=_fact(facts, "run_id"),
            )
        case "application":
            delay = failure.next_retry_delay
            return errors.ApplicationError(
                failure.message,
                *_values(failure.details, codec),
                type=failure.type,
                non_retryable=failure.non_retryable,
                next_retry_delay=None if delay is None else timedelta(seconds=delay),
            )


def _values(details: Payload | None, codec: Codec) -> tuple[Any, ...]:
    if details is None:
        return ()
    try:
        values = codec.decode(details)
    except Exception:
        return (f"<{len(details.data)} bytes of details that cannot be decoded>",)
    return tuple(values) if type_of(values) is list else (values,)


def _fact(facts: Mapping[str, str | int | None], name: str) -> str | None:
    value = facts.get(name)
    return value if value is None else str(value)


# ------------------------------------------------------------------------------------------------- failure <-> bytes


def encode_failure(failure: Failure) -> Payload:
    """The failure as ASCII JSON: half surrogates and NUL in a message are escaped, so they survive. A sealed one as it is."""
    if failure.sealed is not None:
        return failure.sealed
    return Payload(json.dumps(_to_json(failure), separators=(",", ":")).encode("ascii"), ENCODING)


def decode_failure(payload: Payload) -> Failure:
    """Read a failure. Fields of newer versions are ignored; bytes that are no failure become one that says so."""
    if payload.encoding not in (ENCODING, None):
        why = payload.reason if isinstance(payload, Unreadable) else f"it is stored as {payload.encoding!r}"
        return Failure("application", f"the failure cannot be read here: {why}", type="UnreadableFailure", sealed=payload)
    try:
        return _from_json(json.loads(payload.data))
    except Exception as problem:
        return Failure(
            "application",
            f"a stored failure of {len(payload.data)} bytes cannot be read ({type(problem).__name__})",
            type="UnreadableFailure",
        )


def _to_json(failure: Failure) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": failure.kind, "message": failure.message}
    if failure.type is not None:
        body["type"] = failure.type
    if failure.non_retryable:
        body["non_retryable"] = True
    if failure.next_retry_delay is not None:
        body["next_retry_delay"] = failure.next_retry_delay
    if failure.details is not None:
        body["details"] = _payload_to_json(failure.details)
    if failure.stack is not None:
        body["stack"] = failure.stack
    if failure.facts:
        body["facts"] = dict(failure.facts)
    if failure.cause is not None:
        body["cause"] = _to_json(failure.cause)
    return body


def _payload_to_json(payload: Payload) -> dict[str, str]:
    """Text where the bytes are text, so that a person can read them in a view; else latin-1, one character a byte."""
    body = {} if payload.encoding is None else {"encoding": payload.encoding}
    try:
        return {"text": payload.data.decode(), **body}
    except UnicodeDecodeError:
        return {"bytes": payload.data.decode("latin-1"), **body}


def _from_json(body: Mapping[str, Any]) -> Failure:
    kind, message, details, cause = body["kind"], body["message"], body.get("details"), body.get("cause")
    if kind not in get_args(FailureKind) or not isinstance(message, str):
        raise ValueError(kind)
    return Failure(
        kind,
        message,
        type=body.get("type"),
        non_retryable=bool(body.get("non_retryable", False)),
        next_retry_delay=body.get("next_retry_delay"),
        details=None if details is None else _payload_from_json(details),
        stack=body.get("stack"),
        cause=None if cause is None else _from_json(cause),
        facts=body.get("facts", {}),
    )


def _payload_from_json(body: Mapping[str, str]) -> Payload:
    text = body.get("text")
    data = body["bytes"].encode("latin-1") if text is None else text.encode()
    return Payload(data, body.get("encoding"))
