"""Lists and counts of runs.

A filter's tree becomes a condition made of the fragments below; whatever a person typed is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

from memflow.filters import Both, Compare, Either, Filter, Not, Value
from memflow.store.database import Database, Record
from memflow.store.runs import run_row
from memflow.store.values import RunRow

_FIELDS: Mapping[str, str] = {
    "status": "r.status",
    "detail": "r.detail",
    "type": "r.workflow",
    "id": "r.workflow_id",
    "run": "r.run_id",
    "queue": "r.task_queue",
    "parent": "r.parent_workflow_id",
    "version": "r.version",
    "schedule": "r.schedule",
    "scheduled": "r.scheduled_at",
    "error": "memflow.failure_message(r.result, r.result_encoding)",
    "started": "r.started_at",
    "closed": "r.closed_at",
    "wake": "w.wake_at",
    "duration": "extract(epoch from coalesce(r.closed_at, memflow.now()) - r.started_at)::float8",
    "length": "r.length",
    "attempt": "r.attempt",
}
_KINDS: Mapping[str, str] = {
    "started": "timestamptz",
    "closed": "timestamptz",
    "wake": "timestamptz",
    "scheduled": "timestamptz",
    "duration": "float8",
    "length": "float8",
    "attempt": "float8",
}
ORDERS: Mapping[str, tuple[str, str]] = {
    "started": ("r.started_at", "timestamptz"),
    "closed": ("coalesce(r.closed_at, '9000-01-01 00:00:00+00')", "timestamptz"),   # what has not ended ends after all that has
    "id": ("r.workflow_id", "text"),
    "type": ("r.workflow", "text"),
    "queue": ("r.task_queue", "text"),
    "status": ("r.status", "text"),
    "run": ("r.run_id", "text"),
    "length": ("r.length", "bigint"),
}
"""What lists may be ordered by: column and its type. Runs that are equal in it follow in the order of their start."""

_FIRST_PAGE = "($2::bigint is null or r.id < $2::bigint)"
_BY_ID = "order by r.id desc"
_PLACE = "true /* where */"
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})


class _Condition:
    """SQL text out of fixed fragments, and the parameters that go with it."""

    def __init__(self, parameters: list[Any]) -> None:
        self.parameters = parameters

    def of(self, tree: Filter) -> str:
        """The condition for a tree. It is true, false or null, as SQL would have it: `!=` does not find what is missing."""
        match tree:
            case Both(left=left, right=right):
                return f"({self.of(left)} and {self.of(right)})"
            case Either(left=left, right=right):
                return f"({self.of(left)} or {self.of(right)})"
            case Not(inner=inner):
                return f"(not coalesce({self.of(inner)}, false))"
            case Compare(field=field, operator=operator, value=value):
                if field.startswith("record."):
                    return self._record(field.removeprefix("record.").split("."), operator, value)
                return self._column(_FIELDS[field], _KINDS.get(field, "text"), operator, value)
            case _:
                assert_never(tree)

    def _parameter(self, value: Any, kind: str) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}::{kind}"

    def _column(self, column: str, kind: str, operator: str, value: Value | tuple[Value, ...]) -> str:
        if operator == "is_null":
            return f"{column} is null"
        if operator == "in":
            assert isinstance(value, tuple)
            return f"{column} = any({self._parameter([_fit(each, kind) for each in value], kind + '[]')})"
        if operator == "~":
            return f"position(lower({self._parameter(str(value), 'text')}) in lower({column})) > 0"
        assert operator in _OPERATORS, f"the filter language has no operator {operator!r}"
        return f"{column} {operator} {self._parameter(_fit(value, kind), kind)}"

    def _record(self, path: list[str], operator: str, value: Value | tuple[Value, ...]) -> str:
        if operator == "in":
            assert isinstance(value, tuple)
            return "(" + " or ".join(self._record(path, "=", each) for each in value) + ")"
        where = self._parameter(path, "text[]")
        found, text = f"(c.doc #> {where})", f"(c.doc #>> {where})"
        if operator == "is_null":
            return f"{text} is null"
        if operator == "~":
            return f"position(lower({self._parameter(str(value), 'text')}) in lower({text})) > 0"
        assert operator in _OPERATORS, f"the filter language has no operator {operator!r}"
        match value:
            case bool():
                return f"{found} {operator} to_jsonb({self._parameter(value, 'boolean')})"
            case int() | float():
                return f"memflow.number_of({found})::float8 {operator} {self._parameter(float(value), 'float8')}"
            case _:
                # Text by its bytes, as everywhere: so that times in ISO form compare as times.
                typed = f"case jsonb_typeof({found}) when 'string' then {text} end collate \"C\""
                wanted = self._parameter(str(value), "text")
                if operator == "=":              # a list is found by any of its texts
                    among = f"{found} @> to_jsonb({wanted})"
                    return f"case jsonb_typeof({found}) when 'array' then {among} else ({typed}) = {wanted} end"
                return f"({typed}) {operator} {wanted}"


def _fit(value: Any, kind: str) -> Any:
    return float(value) if kind == "float8" else str(value) if kind == "text" else value


async def list_runs(
    database: Database,
    namespace: str,
    where: Filter | None,
    *,
    limit: int,
    after: RunRow | None = None,
    order: tuple[str, bool] | None = None,
) -> list[RunRow]:
    """The runs that match, newest first or in the order asked for, beginning after `after`."""
    parameters: list[Any] = [namespace, None if after is None else after.run, limit]
    if order is None:
        return [run_row(row) for row in await _filtered(database, "list_runs", parameters, where)]
    field, descends = order
    column, kind = ORDERS[field]
    parameters.append(None if after is None else _key_of(after, field))
    than, way = ("<", "desc") if descends else (">", "asc")
    text = database.sql["list_runs"].replace(
        _FIRST_PAGE, f"($2::bigint is null or ({column}, r.id) {than} ($4::{kind}, $2::bigint))"
    ).replace(_BY_ID, f"order by {column} {way}, r.id {way}")
    condition = "true" if where is None else database.sql.with_schema(_Condition(parameters).of(where))
    rows = await database.fetch_text(text.replace(_PLACE, condition), parameters, doing="list_runs")
    return [run_row(row) for row in rows]


def _key_of(row: RunRow, field: str) -> Any:
    match field:
        case "started":
            return row.started_at
        case "closed":
            return row.closed_at or datetime(9000, 1, 1, tzinfo=UTC)
        case "id":
            return row.workflow_id
        case "queue":
            return row.task_queue
        case "status":
            return row.status.value
        case "run":
            return row.run_id
        case "length":
            return row.length
        case _:
            return row.workflow


async def count_runs(database: Database, namespace: str, where: Filter | None) -> int:
    """How many runs match."""
    [row] = await _filtered(database, "count_runs", [namespace], where)
    return int(row["count"])


async def _filtered(database: Database, name: str, parameters: list[Any], where: Filter | None) -> list[Record]:
    if where is None:
        return await database.fetch(name, *parameters)
    condition = database.sql.with_schema(_Condition(parameters).of(where))
    return await database.fetch_text(database.sql[name].replace(_PLACE, condition), parameters, doing=name)
