"""The filter language over rows in memory: true, false or unknown, as SQL would have it.

Counterpart of `memflow/store/records.py`. Unknown is None: a comparison with what is missing.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

from memflow.failure import decode_failure
from memflow.filters import Both, Compare, Either, Filter, Not
from memflow.store.values import RunRow
from memflow_testing.memory.tables import Run

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}


def matches(tree: Filter, run: Run, now: datetime) -> bool:
    """Whether a run is found by a filter."""
    return _value(tree, run, now) is True


def _value(tree: Filter, run: Run, now: datetime) -> bool | None:
    match tree:
        case Both(left=left, right=right):
            both = (_value(left, run, now), _value(right, run, now))
            return False if False in both else None if None in both else True
        case Either(left=left, right=right):
            either = (_value(left, run, now), _value(right, run, now))
            return True if True in either else None if None in either else False
        case Not(inner=inner):
            return not _value(inner, run, now)
        case Compare(field=field, operator=op, value=value):
            if field.startswith("record."):
                return _record(_at(run.record, field.removeprefix("record.").split(".")), op, value)
            return _column(_field(run, field, now), op, value)
        case _:
            assert_never(tree)


def _field(run: Run, name: str, now: datetime) -> Any:
    match name:
        case "status":
            return run.status.value
        case "type":
            return run.workflow
        case "id":
            return run.workflow_id
        case "run":
            return run.run_id
        case "queue":
            return run.task_queue
        case "parent":
            return run.parent_workflow_id
        case "error":
            failed = run.result is not None and run.result.encoding == "failure"
            return decode_failure(run.result).message if failed and run.result is not None else None
        case "started":
            return run.started_at
        case "closed":
            return run.closed_at
        case "scheduled":
            return run.scheduled_at
        case "wake":
            return None if run.wake is None else run.wake.wake_at
        case "duration":
            return ((run.closed_at or now) - run.started_at).total_seconds()
        case _:
            return getattr(run, name)                    # detail version schedule length attempt


def _column(found: Any, op: str, value: Any) -> bool | None:
    if op == "is_null":
        return found is None
    if found is None:
        return None
    if op == "in":
        return found in [_fit(each, found) for each in value]
    if op == "~":
        return str(value).lower() in str(found).lower()
    return _COMPARE[op](_bytes(found), _bytes(_fit(value, found)))


def _fit(value: Any, found: Any) -> Any:
    return str(value) if isinstance(found, str) else value


def _bytes(value: Any) -> Any:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _at(record: Any, path: list[str]) -> Any:
    found: Any = record
    for name in path:
        is_list: bool = isinstance(found, list)
        try:
            found = found[int(name)] if is_list else found[name]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return found


def _record(found: Any, op: str, value: Any) -> bool | None:
    if op == "in":
        answers = [_record(found, "=", each) for each in value]
        return True if True in answers else None if None in answers else False
    if op == "is_null":
        return found is None
    if found is None:
        return None
    if op == "~":
        return str(value).lower() in (found if isinstance(found, str) else _text(found)).lower()
    if isinstance(value, bool):
        return _COMPARE[op](found is value, True) if op in ("=", "!=") else None
    if isinstance(value, int | float):
        return _COMPARE[op](found, value) if isinstance(found, int | float) and not isinstance(found, bool) else None
    if op == "=" and isinstance(found, list):                # a list is found by any of its texts
        return str(value) in found
    return _COMPARE[op](_bytes(found), _bytes(str(value))) if isinstance(found, str) else None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def key_of(run: Run | RunRow, field: str) -> Any:
    """What a list in the order of `records.ORDERS` is sorted by. What has not ended ends after all that has."""
    match field:
        case "started":
            return run.started_at
        case "closed":
            return run.closed_at or datetime(9000, 1, 1, tzinfo=UTC)
        case "id":
            return _bytes(run.workflow_id)
        case "queue":
            return run.task_queue
        case "status":
            return run.status.value
        case "run":
            return run.run_id
        case "length":
            return run.length
        case _:
            return run.workflow
