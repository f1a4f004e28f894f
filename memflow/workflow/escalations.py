"""What people are asked while a workflow waits for their answer: who may answer, what it is about, how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from memflow.core.entries import compact
from memflow.core.record import check_fields
from memflow.errors import ConfigurationError

LOWEST, HIGHEST = -(2**31), 2**31 - 1

LONGEST_TEXT = 10_000
"""Characters of one text: a form's worth. Documents belong into `metadata`, or elsewhere with a link."""


LARGEST = 2**18
"""Bytes of a whole escalation. It is kept in the journal too."""


def no_metadata() -> dict[str, Any]:
    """The default of `metadata`."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """A question to people, beside a wait: `workflow.wait_for(id, escalation=Escalation(role="manager", type="refund"))`.

    `role`, `type`, `subtype` and `entity` are for finding it in lists, `priority` orders them, lower first. `metadata` is a
    JSON object that lists search in and forms show. All of it is readable in the database, unlike payloads with a codec.
    `assigned_to` gives it to somebody from the start.
    """

    role: str | None = None
    type: str | None = None
    subtype: str | None = None
    entity: str | None = None
    description: str | None = None
    priority: int = 5
    metadata: Mapping[str, Any] = field(default_factory=no_metadata)
    assigned_to: str | None = None
    created_by: str | None = None


NAMES = tuple(each.name for each in fields(Escalation))


def escalation_of(given: Escalation | Mapping[str, Any]) -> Escalation:
    """The escalation that was asked for, checked.

    Raises:
        ConfigurationError: an unknown name, or a value that cannot be.
        PayloadError: metadata that are no plain JSON object.
    """
    found = given if isinstance(given, Escalation) else _from_mapping(given)
    for name in NAMES:
        value = getattr(found, name)
        if name not in ("priority", "metadata") and value is not None:
            _check_text(name, value)
    _check_priority(found.priority)
    check_metadata(found.metadata)
    return found


def escalation_text(given: Escalation | Mapping[str, Any], *, expires_at: datetime | None) -> str:
    """The same as the journal has it: a JSON object.

    Raises:
        ConfigurationError, PayloadError: as for `escalation_of`.
    """
    found = escalation_of(given)
    about = {name: getattr(found, name) for name in NAMES}
    about["metadata"] = dict(found.metadata) or None
    about["expires_at"] = None if expires_at is None else expires_at.isoformat()
    text = compact({name: value for name, value in about.items() if value is not None})
    if len(text) > LARGEST:
        raise ConfigurationError(f"escalation: it has {len(text)} bytes, at most {LARGEST} are possible; link to large documents")
    return text


def check_metadata(metadata: object) -> dict[str, Any]:
    """Metadata as a JSON object that Postgres can search.

    Raises:
        ConfigurationError: no mapping of names.
        PayloadError: a value that is no plain JSON, or cannot be searched.
    """
    if not isinstance(metadata, Mapping):
        raise ConfigurationError(f"escalation: metadata is {type(metadata).__name__}; a dict of names and values is needed")
    plain: dict[Any, Any] = {**metadata}
    for name in plain:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"escalation: {name!r} in metadata is no name; names are text")
    return check_fields(plain)                           # a record is searched as well: the same values will do


def _from_mapping(given: object) -> Escalation:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"escalation: {given!r} is neither a workflow.Escalation nor a dict of its fields")
    named: dict[Any, Any] = {**given}
    unknown = [str(name) for name in named if name not in NAMES]
    if unknown:
        raise ConfigurationError(f"escalation: there is no field {', '.join(unknown)}; fields are {', '.join(NAMES)}")
    if named.get("metadata", {}) is None:
        del named["metadata"]
    return Escalation(**named)


def _check_priority(priority: object) -> None:
    if not isinstance(priority, int) or isinstance(priority, bool) or not LOWEST <= priority <= HIGHEST:
        raise ConfigurationError(f"escalation: priority {priority!r} is no whole number from {LOWEST} to {HIGHEST}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"escalation: {name} is {value!r}; a text is needed")
    if not value or len(value) > LONGEST_TEXT:
        raise ConfigurationError(f"escalation: {name} has {len(value)} characters; 1 to {LONGEST_TEXT} are possible")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise ConfigurationError(f"escalation: {name} holds NUL or half of a surrogate pair, which Postgres' text cannot")
