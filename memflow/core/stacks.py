"""What a run waits for, and at which lines: one row per blocked coroutine, readable when no worker is alive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from memflow.core.ordering import WorkflowTask
from memflow.core.places import awaiting_frames, place_of

ROWS_KEPT = 20  # of a run that waits for thousands of things, these many say enough


@dataclass(frozen=True, slots=True)
class Waiting:
    """One blocked coroutine: the op it waits for, if it is one, and its awaits from the outermost to the innermost."""

    op: int | None
    what: str
    chain: tuple[str, ...]


@dataclass(slots=True)
class _Blocked:
    chain: list[str]
    on: Any
    inside: FrameType | None  # the innermost frame, when it lies in asyncio
    joins: list[Any]  # tasks and futures that it waits to end
    parent: WorkflowTask | None = None


def waiting_of(
    tasks: Iterable[WorkflowTask], ops: Mapping[int, int], words: Mapping[int, str], conditions: Iterable[int]
) -> list[Waiting]:
    """Rows for all blocked `tasks`. `ops` maps id(future) to op, `words` op to words, `conditions` are id(future)s.

    A task that only waits for others of the same run has no row of its own: its lines begin theirs.
    """
    blocked = {task: _look_at(task) for task in tasks if not task.done()}
    by_id: dict[int, WorkflowTask] = {id(task): task for task in blocked}
    for task, found in blocked.items():
        for joined in found.joins:
            child = by_id.get(id(joined))
            if child is not None and child is not task and blocked[child].parent is None:
                blocked[child].parent = task
    parents = {id(found.parent) for found in blocked.values() if found.parent is not None}
    pending = set(conditions)
    rows: list[Waiting] = []
    for task, found in blocked.items():
        if id(task) in parents:
            continue
        op = ops.get(id(found.on))
        if op is not None:
            what = words.get(op, f"op {op}")
        elif id(found.on) in pending:
            what = "condition"
        else:
            what = _asyncio_word(found.inside)
        rows.append(Waiting(op, what, tuple(_lineage(task, blocked))))
    rows.sort(key=lambda row: (row.op is None, row.op or 0))
    return rows


def to_json(rows: list[Waiting]) -> str:
    """Rows as JSON text: `[{"op", "what", "chain"}]`, at most 20 and one that counts the rest."""
    shown: list[dict[str, object]] = [{"op": row.op, "what": row.what, "chain": row.chain} for row in rows[:ROWS_KEPT]]
    if len(rows) > ROWS_KEPT:
        shown.append({"op": None, "what": f"and {len(rows) - ROWS_KEPT} more", "chain": ()})
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def in_words(rows: list[Waiting]) -> str:
    """Rows as text: one paragraph for each waiting coroutine, outermost frame first."""
    return "\n\n".join("\n".join([row.what, *(f"  {frame}" for frame in row.chain)]) for row in rows)


def _look_at(task: WorkflowTask) -> _Blocked:
    chain: list[str] = []
    inside: FrameType | None = None
    for frame in awaiting_frames(task.get_coro()):
        place = place_of(frame)
        if place is not None:
            chain.append(place)
            inside = None
        elif "/asyncio/" in frame.f_code.co_filename:
            inside = frame
    on: Any = task._fut_waiter  # type: ignore[attr-defined]
    return _Blocked(chain, on, inside, list(_joined(on, inside)))


def _joined(on: Any, inside: FrameType | None) -> Iterable[Any]:
    """What must end before `on` does: the tasks of a gather, a TaskGroup, a wait, or a task itself."""
    joined: Iterable[Any] = getattr(on, "_children", ())  # of a gather
    if joined:
        return joined
    if inside is None or isinstance(on, asyncio.Task):
        return [on]
    mine: dict[str, Any] = inside.f_locals
    match inside.f_code.co_name:
        case "__aexit__":  # of a TaskGroup
            joined = getattr(mine.get("self"), "_tasks", ())
        case "_wait":
            joined = mine.get("fs", ())
        case "wait_for":
            joined = (mine.get("fut"),)
        case _:
            pass
    return joined


def _lineage(task: WorkflowTask, blocked: Mapping[WorkflowTask, _Blocked]) -> list[str]:
    chain: list[str] = []
    seen: set[int] = set()
    at: WorkflowTask | None = task
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        chain = blocked[at].chain + chain
        at = blocked[at].parent
    return chain


def _asyncio_word(inside: FrameType | None) -> str:
    if inside is None:
        return "a future"
    return f"asyncio {getattr(inside.f_code, 'co_qualname', inside.f_code.co_name)}"
