"""The run's record: one JSON object that lists and filters see, as top-level fields (`search`) or as a document (`entity`).

All coroutines of a run share it. A write is durable and visible to others when its turn commits; answers come from memory,
the same in every replay. What is read may be changed freely: it is a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from memflow.core import context
from memflow.core.record import MISSING, at_path, copied
from memflow.errors import ConfigurationError
from memflow.names import PROGRESS


async def enrich(fields: Mapping[str, Any]) -> None:
    """Set fields of this run's record. Others stay; filters name them `record.<field>`.

    Raises:
        PayloadError: a value is no plain JSON value.
    """
    context.current("enrich")
    if fields:
        _write("enrich", "search.set", fields, dict(fields))


def search() -> Search:
    """The fields of this run's record: `await search().incr("visits", 1)`."""
    context.current("search")
    return Search()


def entity() -> Entity:
    """This run's record as one document: `await entity().append("order.lines", line)`."""
    context.current("entity")
    return Entity()


def memo() -> dict[str, Any]:
    """The facts kept with this run: those of the start, and what `upsert_memo` made of them."""
    replay = context.current("memo")
    return {name: value for name, value in copied(replay.memo).items() if name != PROGRESS}


def upsert_memo(updates: Mapping[str, Any]) -> None:
    """Set facts of the memo, when this turn commits. None removes one.

    Raises:
        PayloadError: a value is no plain JSON value.
    """
    replay = context.current("upsert_memo")
    if updates:
        replay.write_memo(dict(updates))


def progress(done: float, total: float | None = None, note: str | None = None) -> None:
    """Say how far this run is, when this turn commits: lists, `describe()` and the command line show it.

    `total` is how much there is to do in the same unit, where that is known; `note` is a few words for people.

    Raises:
        ConfigurationError: a number is negative or not finite, or `done` is more than `total`.
    """
    replay = context.current("progress")
    for name, number in (("done", done), ("total", total)):
        if number is not None and (isinstance(number, bool) or not isfinite(number) or number < 0):
            raise ConfigurationError(f"progress: {name} is {number!r}; it must be a number of 0 or more")
    if total is not None and done > total:
        raise ConfigurationError(f"progress: {done} of {total} is done; `done` must not be more than `total`")
    replay.write_memo({PROGRESS: [done, total, note]})


def upsert_search_attributes(updates: Mapping[str, Any]) -> None:
    """Set fields of the record. None removes one.

    Raises:
        PayloadError: a value is no plain JSON value.
    """
    kept = {name: value for name, value in updates.items() if value is not None}
    gone = [name for name, value in updates.items() if value is None]
    if kept:
        _write("upsert_search_attributes", "search.set", kept, kept)
    if gone:
        _write("upsert_search_attributes", "search.delete", gone, gone)


class Search:
    """The fields of a record. Names are taken as they are, a dot in one is no path."""

    async def set(self, fields: Mapping[str, Any] | None = None, /, **named: Any) -> int:
        """Set fields, by name or in a dict. How many.

        Raises:
            PayloadError: a value is no plain JSON value, or the record would grow over 1 MiB.
        """
        together = {**(fields or {}), **named}
        found: int = _write("search", "search.set", together, together)
        return found

    async def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, `default` where there is none."""
        return copied(context.current("search").record.get(name, default))

    async def mget(self, *names: str) -> list[Any]:
        """The values of fields, None where there is none."""
        record = context.current("search").record
        return [copied(record.get(name)) for name in names]

    async def delete(self, *names: str) -> int:
        """Remove fields. How many were there."""
        found: int = _write("search", "search.delete", names, list(names))
        return found

    async def incr(self, name: str, by: float = 1) -> int | float:
        """Add to a number; a field that is not there counts as 0. The new value.

        Raises:
            TypeError: the field, or `by`, is no number.
            ValueError: the result is too large.
        """
        found: int | float = _write("search", "search.incr", [name], name, by)
        return found

    async def mult(self, name: str, by: float) -> int | float:
        """Multiply a number; a field that is not there counts as 1. The new value.

        Raises:
            TypeError: the field, or `by`, is no number.
            ValueError: the result is too large.
        """
        found: int | float = _write("search", "search.mult", [name], name, by)
        return found


class Entity:
    """A record as one document. Paths are names with dots between them, a number names an item that a list has.

    Objects that are missing along a path are made. Every method raises TypeError where something of another type is in the
    way, PayloadError for a value that is no plain JSON value or makes the record larger than 1 MiB, and ConfigurationError for
    a path that cannot be read.
    """

    async def set(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the whole document, the fields of `search` too."""
        found: dict[str, Any] = _write("entity", "entity.set", (), dict(document))
        return found

    async def merge(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into the document: objects into objects at any depth, everything else replaces. The whole of it then."""
        found: dict[str, Any] = _write("entity", "entity.merge", (), dict(document))
        return found

    async def get(self, path: str | None = None, default: Any = None) -> Any:
        """What lies at a path, `default` where there is nothing; without a path the whole document."""
        found = at_path(context.current("entity").record, path)
        return default if found is MISSING else copied(found)

    async def delete(self, path: str) -> bool:
        """Remove what lies at a path. Whether there was something."""
        found: bool = _write("entity", "entity.delete", (), path)
        return found

    async def append(self, path: str, value: Any) -> list[Any]:
        """Add to the end of a list, made if it is missing. The list then."""
        found: list[Any] = _write("entity", "entity.append", (), path, value)
        return found

    async def prepend(self, path: str, value: Any) -> list[Any]:
        """Add to the beginning of a list, made if it is missing. The list then."""
        found: list[Any] = _write("entity", "entity.prepend", (), path, value)
        return found

    async def remove(self, path: str, index: int) -> list[Any]:
        """Remove an item of a list by its index, from the end if negative; one that is not there is no error. The list then."""
        found: list[Any] = _write("entity", "entity.remove", (), path, index)
        return found

    async def increment(self, path: str, by: float = 1) -> int | float:
        """Add to a number; a missing one counts as 0. The new value."""
        found: int | float = _write("entity", "entity.increment", (), path, by)
        return found

    async def toggle(self, path: str) -> bool:
        """Turn a boolean round; a missing one counts as False. The new value."""
        found: bool = _write("entity", "entity.toggle", (), path)
        return found

    async def set_if_not_exists(self, path: str, value: Any) -> Any:
        """Set what is not there yet; null counts as there. What is there then."""
        return _write("entity", "entity.set_if_not_exists", (), path, value)


def _write(called: str, verb: str, names: Iterable[object], *arguments: Any) -> Any:
    replay = context.current(called)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{called}: {name!r} is no name; names are text")
    return replay.write_record(verb, list(arguments))
