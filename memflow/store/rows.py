"""Rows to values and back: what several files of this folder share."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from memflow.core.arrivals import Arrival
from memflow.core.definition import Origin
from memflow.core.entries import JournalEntry, Row, from_row, to_row
from memflow.core.options_json import retry_from_json, retry_to_json
from memflow.payload import NOTHING, Payload
from memflow.retry import RetryPolicy

_ON_THE_RUN = frozenset({"run_started", "complete", "fail", "cancelled"})
"""Kinds whose payload lies on the run's row, not a second time in the journal."""


def payload(data: bytes | None, encoding: str | None) -> Payload | None:
    """Two columns as a payload."""
    return None if data is None else Payload(data, encoding)


def payload_or_nothing(data: bytes | None, encoding: str | None) -> Payload:
    """Two columns as a payload that is always there."""
    return NOTHING if data is None else Payload(data, encoding)


def data_of(value: Payload | None) -> bytes | None:
    """The bytes of a payload."""
    return None if value is None else value.data


def encoding_of(value: Payload | None) -> str | None:
    """The encoding of a payload."""
    return None if value is None else value.encoding


def headers_text(headers: Mapping[str, str]) -> str | None:
    """Headers as a JSON object; nothing for none."""
    return json.dumps(dict(headers), ensure_ascii=True, separators=(",", ":")) if headers else None


def headers_of(text: str | None) -> dict[str, str]:
    """Headers from a column."""
    return {} if text is None else json.loads(text)


def retry_text(policy: RetryPolicy | None) -> str | None:
    """A retry policy as a JSON object; nothing for none."""
    return None if policy is None else json.dumps(retry_to_json(policy), separators=(",", ":"))


def retry_of(text: str | None) -> RetryPolicy | None:
    """A retry policy from a column."""
    return None if text is None else retry_from_json(json.loads(text))


def origins_text(origins: Sequence[Origin]) -> str | None:
    """Origins as a JSON list; nothing for none."""
    return json.dumps([[each.turn, each.workflow_id, each.run_id, each.first_run_id] for each in origins]) if origins else None


def origins_of(text: str | None) -> tuple[Origin, ...]:
    """Origins from a column."""
    return () if text is None else tuple(Origin(*each) for each in json.loads(text))


def arrival_of(kind: str, op: int | None, attributes: str | None, encoding: str | None, data: bytes | None) -> Arrival:
    """An arrival from the columns of an inbox row."""
    entry = from_row(Row(kind, op, attributes, encoding, data))
    return entry  # type: ignore[return-value]  # an inbox holds arrivals alone


JOURNAL_WORDS = frozenset({0, 1, 2, 4, 5})
"""Of a member's journal rows: member, seq, turn, kind and op."""


def journal_row(each: JournalEntry) -> tuple[Any, ...]:
    """The columns of a journal entry: seq, turn, at, kind, op, attributes, encoding, data."""
    row = to_row(each.entry)
    if row.kind in _ON_THE_RUN:
        return each.seq, each.turn, each.at, row.kind, row.op, row.attributes, None, None
    return each.seq, each.turn, each.at, row.kind, row.op, row.attributes, row.encoding, row.data


def columns(
    rows: Iterable[tuple[Any, ...]], width: int, words: Collection[int] = ()
) -> list[list[Any] | str | None]:
    """Rows as columns, for `unnest`; `width` lists also where there is no row.

    A column of nothing but nulls is one null, which `unnest` fills up: asyncpg looks at each element of an array twice, at
    some 0.3 us each. So the columns that `words` tells, of integers, booleans and names of ours, are the text of an array, whose
    parameter is cast from text.
    """
    found = list(zip(*rows, strict=True))
    if not found:
        return ["{}" if n in words else [] for n in range(width)]
    size = len(found[0])
    return [
        None if column.count(None) == size else text_of(column) if n in words else list(column)
        for n, column in enumerate(found)
    ]


def text_of(column: Sequence[int | bool | str | None]) -> str:
    """The text of an array whose elements need no quotes."""
    if None in column:
        return "{" + ",".join("null" if each is None else str(each) for each in column) + "}"
    return "{" + ",".join(map(str, column)) + "}"
