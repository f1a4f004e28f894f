"""The run's record as a fold over its journal: each write is a verb and its arguments, each answer comes from memory.

The record is one JSON object. `search` verbs work on its top-level fields, `entity` verbs anywhere in it, by dotted path. A
verb never changes a value in place: it makes the object anew along its path, so that a refused verb leaves nothing half-done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from memflow.codec import Codec
from memflow.errors import ConfigurationError, PayloadError
from memflow.payload import Payload
from memflow.plain import refuse_unless_plain

Document = dict[str, Any]

Answered = tuple[Document, Any]
"""The document that a verb makes, and what it answers."""

Fold = Callable[[Document], Answered]

LARGEST_BYTES = 1024 * 1024
"""Of the whole record as JSON: it is written anew by each commit that changes it."""

DEEPEST_PATH = 50
"""Parts of a dotted path."""

LONGEST_INT = 10_000
"""Bits of a number: far beyond what counts anything, and short enough to be read back."""

MISSING: Any = object()
"""What a path that leads nowhere finds."""


class Folded:
    """A JSON object that a run began with, and what its journal made of it."""

    __slots__ = ("_document", "_given", "_payload", "_size")

    def __init__(self, given: Payload | None) -> None:
        self._given = given
        self._document: Document | None = None               # decoded when first looked at: most runs never do
        self._payload = given
        self._size = 0 if given is None else len(given.data)  # at least that of the document

    def document(self, codec: Codec) -> Document:
        """The object now. Not to be changed."""
        if self._document is None:
            found: Document = {} if self._given is None else codec.decode(self._given)
            self._document = found
        return self._document

    def check(self, document: Document, codec: Codec, added: int) -> None:
        """Whether a write of `added` bytes may make this of the object.

        Raises:
            PayloadError: it would be too large.
        """
        size = self._size + added
        if size > LARGEST_BYTES:
            size = len(codec.encode(document).data)
            if size > LARGEST_BYTES:
                raise PayloadError(f"the record would take {size:,} bytes, at most {LARGEST_BYTES:,} are possible")
            self._size = size - added

    def apply(self, fold: Fold, codec: Codec, added: int) -> Any:
        """Write, and give the answer."""
        self._document, answer = fold(self.document(codec))
        self._size += added
        self._payload = None
        return copied(answer)

    def payload(self, codec: Codec) -> Payload | None:
        """The object as it is stored, None for one that never was."""
        if self._payload is None and self._document is not None:
            self._payload = codec.encode(self._document)
            self._size = len(self._payload.data)
        return self._payload


def folding(verb: str, arguments: Sequence[Any]) -> Fold:
    """A verb with its arguments, to be applied to a document: gives the new one and the answer.

    Raises (when applied):
        TypeError: what lies at the path, or a value, is of another type than the verb works on.
        ValueError: the result is no number that can be stored.
        PayloadError: a value that Postgres could not search.
        ConfigurationError: the path cannot be read.
    """
    fold = VERBS[verb]
    return lambda document: fold(document, *arguments)


def at_path(document: Document, path: str | None) -> Any:
    """What lies at a dotted path, None for the whole; `MISSING` where there is nothing."""
    return document if path is None else _look(document, parts_of(path))


def copied(value: Any) -> Any:
    """A plain JSON value that its reader may change."""
    if _is_object(value):
        return {name: copied(inner) for name, inner in value.items()}
    if _is_list(value):
        return [copied(inner) for inner in value]
    return value


def parts_of(path: object) -> list[str]:
    """The names along a dotted path.

    Raises:
        ConfigurationError: no text, empty, with an empty part, or of more than 50 parts.
    """
    parts: list[str] = path.split(".") if isinstance(path, str) else []
    if not all(parts) or not 0 < len(parts) <= DEEPEST_PATH:
        raise ConfigurationError(f"path: {path!r} is not 1 to {DEEPEST_PATH} names with dots between them, as 'address.city'")
    return parts


def _is_object(value: object) -> TypeGuard[Document]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


# ------------------------------------------------------------------------------------------------- along a path


def _look(node: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if _is_object(node):
            node = node.get(part, MISSING)
        elif _is_list(node):
            at = _index(node, part)
            node = MISSING if at is None else node[at]
        else:
            return MISSING
    return node


def _put(node: Any, parts: Sequence[str], value: Any, done: int = 0) -> Any:
    """The node with `value` at the path; objects that are missing on the way are made."""
    if done == len(parts):
        return value
    part = parts[done]
    if node is MISSING:
        return {part: _put(MISSING, parts, value, done + 1)}
    if _is_object(node):
        return {**node, part: _put(node.get(part, MISSING), parts, value, done + 1)}
    if _is_list(node):
        at = _index(node, part)
        if at is not None:
            return [*node[:at], _put(node[at], parts, value, done + 1), *node[at + 1 :]]
    raise TypeError(f"{'.'.join(parts)}: {_called(parts[:done])} is {_kind(node)}; there is no {part!r} in it")


def _without(node: Any, parts: Sequence[str]) -> Any:
    """The node without what lies at the path, which is there."""
    part, rest = parts[0], parts[1:]
    if _is_list(node):
        at = int(part)
        return [*node[:at], *([_without(node[at], rest)] if rest else []), *node[at + 1 :]]
    if rest:
        return {**node, part: _without(node[part], rest)}
    return {name: value for name, value in node.items() if name != part}


def _index(items: list[Any], part: str) -> int | None:
    return int(part) if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(items) else None


def _called(parts: Sequence[str]) -> str:
    return ".".join(parts) or "the record"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


# ------------------------------------------------------------------------------------------------- values


def _checked(value: Any, parts: Sequence[str] = ()) -> Any:
    """A value that may stand at this place: plain JSON, and searchable.

    Raises:
        PayloadError: nested too deeply, or a text with NUL or half a surrogate pair, which Postgres' JSON cannot hold.
    """
    path = "$" + "".join(f".{part}" for part in parts)
    refuse_unless_plain(value, path, len(parts) + 1)
    waiting: list[Any] = [value, *parts]
    while waiting:
        one = waiting.pop()
        if _is_object(one):
            waiting.extend(one)
            waiting.extend(one.values())
        elif _is_list(one):
            waiting.extend(one)
        elif isinstance(one, str) and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in one):
            raise PayloadError("a record is searched by Postgres, which has no text with NUL or half a surrogate pair", path=path)
    return value


def _object(value: Any, verb: str) -> Document:
    if not _is_object(value):
        raise TypeError(f"{verb}: an object is needed, this is {_kind(value)}")
    _checked(value)
    return value


def _number(value: Any, what: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {_kind(value)}, not a number")
    return value


def _storable(value: int | float, what: str) -> int | float:
    if math.isfinite(value) if isinstance(value, float) else value.bit_length() <= LONGEST_INT:
        return value
    raise ValueError(f"{what}: the result is too large a number")


def _list_at(document: Document, parts: Sequence[str]) -> list[Any]:
    found = _look(document, parts)
    if found is MISSING:
        return []
    if not _is_list(found):
        raise TypeError(f"{'.'.join(parts)} is {_kind(found)}, not a list")
    return found


def _merged(old: Any, new: Any) -> Any:
    if not (_is_object(old) and _is_object(new)):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


# ------------------------------------------------------------------------------------------------- verbs

def _search_set(document: Document, fields: Any) -> Answered:
    return {**document, **_object(fields, "search().set")}, len(fields)


def _search_delete(document: Document, names: list[str]) -> Answered:
    gone = {name for name in names if name in document}
    return {name: value for name, value in document.items() if name not in gone}, len(gone)


def _search_incr(document: Document, name: str, by: Any) -> Answered:
    return _calculated(document, [name], 0, by, lambda a, b: a + b)


def _search_mult(document: Document, name: str, by: Any) -> Answered:
    return _calculated(document, [name], 1, by, lambda a, b: a * b)


def _entity_increment(document: Document, path: str, by: Any) -> Answered:
    return _calculated(document, parts_of(path), 0, by, lambda a, b: a + b)


def _calculated(document: Document, parts: list[str], absent: int, by: Any, combine: Callable[[Any, Any], Any]) -> Answered:
    what = ".".join(parts)
    found = _look(document, parts)
    number = _number(absent if found is MISSING else found, what)
    try:
        result = _storable(combine(number, _number(by, "what was given")), what)
    except OverflowError:
        raise ValueError(f"{what}: the result is too large a number") from None
    return _put(document, _checked(parts), result), result


def _entity_set(document: Document, new: Any) -> Answered:
    return _object(new, "entity().set"), new


def _entity_merge(document: Document, new: Any) -> Answered:
    merged = _merged(document, _object(new, "entity().merge"))
    return merged, merged


def _entity_delete(document: Document, path: str) -> Answered:
    parts = parts_of(path)
    if _look(document, parts) is MISSING:
        return document, False
    return _without(document, parts), True


def _entity_append(document: Document, path: str, value: Any) -> Answered:
    parts = parts_of(path)
    items = [*_list_at(document, parts), _checked(value, parts)]
    return _put(document, parts, items), items


def _entity_prepend(document: Document, path: str, value: Any) -> Answered:
    parts = parts_of(path)
    items = [_checked(value, parts), *_list_at(document, parts)]
    return _put(document, parts, items), items


def _entity_remove(document: Document, path: str, index: Any) -> Answered:
    parts = parts_of(path)
    items = _list_at(document, parts)
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"index: {index!r} is no whole number")
    if not -len(items) <= index < len(items):
        return document, items
    at = index % len(items)
    left = [*items[:at], *items[at + 1 :]]
    return _put(document, parts, left), left


def _entity_toggle(document: Document, path: str) -> Answered:
    parts = parts_of(path)
    found = _look(document, parts)
    if found is not MISSING and not isinstance(found, bool):
        raise TypeError(f"{path} is {_kind(found)}, not a boolean")
    toggled = not (found is not MISSING and found)
    return _put(document, _checked(parts), toggled), toggled


def _entity_set_if_not_exists(document: Document, path: str, value: Any) -> Answered:
    parts = parts_of(path)
    found = _look(document, parts)
    if found is not MISSING:
        return document, found
    return _put(document, parts, _checked(value, parts)), value


def _memo_set(document: Document, fields: Document) -> Answered:
    return {name: value for name, value in {**document, **fields}.items() if value is not None}, None


def check_fields(fields: Document) -> Document:
    """`fields`, if they can be written to a record.

    Raises:
        PayloadError: a value is no plain JSON value, or Postgres' JSON cannot hold it.
    """
    _search_set({}, fields)
    return fields


VERBS: dict[str, Callable[..., Answered]] = {
    "search.set": _search_set,
    "search.delete": _search_delete,
    "search.incr": _search_incr,
    "search.mult": _search_mult,
    "entity.set": _entity_set,
    "entity.merge": _entity_merge,
    "entity.delete": _entity_delete,
    "entity.append": _entity_append,
    "entity.prepend": _entity_prepend,
    "entity.remove": _entity_remove,
    "entity.increment": _entity_increment,
    "entity.toggle": _entity_toggle,
    "entity.set_if_not_exists": _entity_set_if_not_exists,
    "memo.set": _memo_set,
}
"""What each verb of the journal makes of a document. A verb that was written once is kept for ever."""
