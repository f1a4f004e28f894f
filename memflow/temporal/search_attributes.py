"""Typed search attributes. They live in the run's record as plain JSON values; what JSON does not tell keeps its type beside."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from itertools import pairwise
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar, cast, overload

from memflow.temporal.arguments import is_iterable, is_list

SearchAttributeValue = str | int | float | bool | datetime | Sequence[str]
SearchAttributeValues = list[str] | list[int] | list[float] | list[bool] | list[datetime]
SearchAttributes = Mapping[str, SearchAttributeValues]

T = TypeVar("T", bound=SearchAttributeValue)
D = TypeVar("D")

TYPES_FIELD: Final = "TemporalSearchAttributeTypes"
"""The field of the record that keeps which attribute is of which type, where the JSON value alone does not tell."""


class SearchAttributeIndexedValueType(IntEnum):
    """Kinds of search attributes."""

    TEXT = 1
    KEYWORD = 2
    INT = 3
    DOUBLE = 4
    BOOL = 5
    DATETIME = 6
    KEYWORD_LIST = 7


_PYTHON: Final[Mapping[SearchAttributeIndexedValueType, Any]] = {
    SearchAttributeIndexedValueType.TEXT: str,
    SearchAttributeIndexedValueType.KEYWORD: str,
    SearchAttributeIndexedValueType.INT: int,
    SearchAttributeIndexedValueType.DOUBLE: float,
    SearchAttributeIndexedValueType.BOOL: bool,
    SearchAttributeIndexedValueType.DATETIME: datetime,
    SearchAttributeIndexedValueType.KEYWORD_LIST: Sequence[str],
}


@dataclass(frozen=True)
class SearchAttributeKey(Generic[T]):
    """The name and kind of a search attribute. Made by `for_keyword`, `for_int`, ..."""

    name: str
    indexed_value_type: SearchAttributeIndexedValueType

    @property
    def value_type(self) -> type[T]:
        """The type of its values."""
        return cast("type[T]", _PYTHON[self.indexed_value_type])

    @property
    def origin_value_type(self) -> type[Any]:
        """The class of its values."""
        found: Any = _PYTHON[self.indexed_value_type]
        return cast("type[Any]", getattr(found, "__origin__", found))

    def value_set(self, value: T) -> SearchAttributeUpdate[T]:
        """Set it to `value`, with `upsert_search_attributes`.

        Raises:
            TypeError: the value is of another type.
        """
        _check(self, value)
        return SearchAttributeUpdate(self, value)

    def value_unset(self) -> SearchAttributeUpdate[T]:
        """Remove it, with `upsert_search_attributes`."""
        return SearchAttributeUpdate(self, None)

    @staticmethod
    def for_text(name: str) -> SearchAttributeKey[str]:
        """Text that is searched by words."""
        return SearchAttributeKey[str](name, SearchAttributeIndexedValueType.TEXT)

    @staticmethod
    def for_keyword(name: str) -> SearchAttributeKey[str]:
        """Text that is compared as a whole."""
        return SearchAttributeKey[str](name, SearchAttributeIndexedValueType.KEYWORD)

    @staticmethod
    def for_int(name: str) -> SearchAttributeKey[int]:
        """A whole number."""
        return SearchAttributeKey[int](name, SearchAttributeIndexedValueType.INT)

    @staticmethod
    def for_float(name: str) -> SearchAttributeKey[float]:
        """A number."""
        return SearchAttributeKey[float](name, SearchAttributeIndexedValueType.DOUBLE)

    @staticmethod
    def for_bool(name: str) -> SearchAttributeKey[bool]:
        """True or false."""
        return SearchAttributeKey[bool](name, SearchAttributeIndexedValueType.BOOL)

    @staticmethod
    def for_datetime(name: str) -> SearchAttributeKey[datetime]:
        """An instant."""
        return SearchAttributeKey[datetime](name, SearchAttributeIndexedValueType.DATETIME)

    @staticmethod
    def for_keyword_list(name: str) -> SearchAttributeKey[Sequence[str]]:
        """Texts."""
        return SearchAttributeKey[Sequence[str]](name, SearchAttributeIndexedValueType.KEYWORD_LIST)


class SearchAttributePair(NamedTuple, Generic[T]):
    """A key and its value."""

    key: SearchAttributeKey[T]
    value: T


@dataclass(frozen=True)
class SearchAttributeUpdate(Generic[T]):
    """A key and what becomes of its value; None removes it."""

    key: SearchAttributeKey[T]
    value: T | None


@dataclass(frozen=True)
class TypedSearchAttributes(Collection[SearchAttributePair[Any]]):
    """Search attributes with their types."""

    search_attributes: Sequence[SearchAttributePair[Any]]

    empty: ClassVar[TypedSearchAttributes]

    def __post_init__(self) -> None:
        listed = sorted(self.search_attributes, key=lambda pair: pair.key.name)
        for one, other in pairwise(listed):
            if one.key.name == other.key.name:
                raise ValueError(f"Duplicate search attribute entries found for key {one.key.name}")
        object.__setattr__(self, "search_attributes", listed)

    def __len__(self) -> int:
        return len(self.search_attributes)

    def __iter__(self) -> Iterator[SearchAttributePair[Any]]:
        return iter(self.search_attributes)

    def __contains__(self, key: object) -> bool:
        return any(pair.key == key or pair == key for pair in self.search_attributes)

    def __getitem__(self, key: SearchAttributeKey[T]) -> T:
        for pair in self.search_attributes:
            if pair.key == key:
                return cast("T", pair.value)
        raise KeyError(key)

    @overload
    def get(self, key: SearchAttributeKey[T]) -> T | None: ...
    @overload
    def get(self, key: SearchAttributeKey[T], default: D) -> T | D: ...
    def get(self, key: SearchAttributeKey[Any], default: Any = None) -> Any:
        """The value of a key, `default` where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def updated(self, *search_attributes: SearchAttributePair[Any]) -> TypedSearchAttributes:
        """A copy with these set."""
        changed = {pair.key.name for pair in search_attributes}
        kept = [pair for pair in self.search_attributes if pair.key.name not in changed]
        return TypedSearchAttributes([*kept, *search_attributes])


TypedSearchAttributes.empty = TypedSearchAttributes([])


# ------------------------------------------------------------------------------------------------- in the record


def fields_of(attributes: TypedSearchAttributes | SearchAttributes | None) -> dict[str, Any]:
    """Search attributes as fields of a run's record.

    Raises:
        TypeError: a value is of no kind that there is.
    """
    if not attributes:
        return {}
    fields: dict[str, Any] = {}
    types: dict[str, str] = {}
    if isinstance(attributes, TypedSearchAttributes):
        for pair in attributes:
            _put(fields, types, pair.key, pair.value)
    else:
        for name, values in attributes.items():
            key, value = _untyped(name, values)
            if key is not None:
                _put(fields, types, key, value)
    if types:
        fields[TYPES_FIELD] = types
    return fields


def changes_of(
    attributes: SearchAttributes | Sequence[SearchAttributeUpdate[Any]], record: Mapping[str, Any]
) -> dict[str, Any]:
    """What an upsert changes in a run's record; None removes a field.

    Raises:
        TypeError: a value is of no kind that there is.
    """
    fields: dict[str, Any] = {}
    known: Mapping[str, str] = record.get(TYPES_FIELD) or {}
    types = dict(known)
    if isinstance(attributes, Mapping):
        for name, values in attributes.items():
            key, value = _untyped(name, values)
            before = types.pop(name, None)
            if key is None:
                fields[name] = None
            elif before == "TEXT" and key.indexed_value_type is SearchAttributeIndexedValueType.KEYWORD:
                _put(fields, types, SearchAttributeKey.for_text(name), value)
            else:
                _put(fields, types, key, value)
    else:
        for update in attributes:
            types.pop(update.key.name, None)
            if update.value is None:
                fields[update.key.name] = None
            else:
                _put(fields, types, update.key, update.value)
    if types != known:
        fields[TYPES_FIELD] = types or None
    return fields


def typed_from(record: Mapping[str, Any]) -> TypedSearchAttributes:
    """The search attributes in a run's record."""
    types: Mapping[str, str] = record.get(TYPES_FIELD) or {}
    pairs: list[SearchAttributePair[Any]] = []
    for name, value in record.items():
        if name == TYPES_FIELD or value is None:
            continue
        kind = SearchAttributeIndexedValueType[types[name]] if name in types else _kind_of(value)
        if kind is None:
            continue                             # a field that memflow's own verbs have put there
        read: Any = datetime.fromisoformat(value) if kind is SearchAttributeIndexedValueType.DATETIME else value
        if kind is SearchAttributeIndexedValueType.DOUBLE:
            read = float(value)
        pairs.append(SearchAttributePair(SearchAttributeKey[Any](name, kind), read))
    return TypedSearchAttributes(pairs)


def untyped_from(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same, each value in a list, as programs of before typed ones read them."""
    return {
        pair.key.name: pair.value if is_list(pair.value) else [pair.value] for pair in typed_from(record)
    }


def _put(fields: dict[str, Any], types: dict[str, str], key: SearchAttributeKey[Any], value: Any) -> None:
    _check(key, value)
    kind = key.indexed_value_type
    if kind is SearchAttributeIndexedValueType.DATETIME:
        value = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        fields[key.name] = value.astimezone(UTC).isoformat()
    elif kind is SearchAttributeIndexedValueType.KEYWORD_LIST:
        fields[key.name] = list(value)
    else:
        fields[key.name] = value
    if _kind_of(fields[key.name]) is not kind:
        types[key.name] = kind.name


def _untyped(name: str, values: Any) -> tuple[SearchAttributeKey[Any] | None, Any]:
    if not is_list(values):
        raise TypeError("Search attribute values must be lists")
    listed = values
    if not listed:
        return None, None
    kinds = SearchAttributeIndexedValueType
    kind = kinds.DATETIME if isinstance(listed[0], datetime) else _kind_of(listed[0])
    if kind is None or not all(type(each) is type(listed[0]) for each in listed):
        raise TypeError(f"search attribute {name!r}: the values {listed!r} are of no one kind: text, numbers, booleans, instants")
    if len(listed) > 1:
        if kind is not kinds.KEYWORD:
            raise TypeError(f"search attribute {name!r}: only texts may be several")
        return SearchAttributeKey[Any](name, kinds.KEYWORD_LIST), listed
    return SearchAttributeKey[Any](name, kind), listed[0]


def _kind_of(value: Any) -> SearchAttributeIndexedValueType | None:
    kinds = SearchAttributeIndexedValueType
    match value:
        case bool():
            return kinds.BOOL
        case int():
            return kinds.INT
        case float():
            return kinds.DOUBLE
        case str():
            return kinds.KEYWORD
        case _ if is_list(value):
            return kinds.KEYWORD_LIST if all(isinstance(each, str) for each in value) else None
        case _:
            return None


def _check(key: SearchAttributeKey[Any], value: Any) -> None:
    wanted = key.origin_value_type
    fits = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
    if wanted is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is Sequence:
        fits = not isinstance(value, str) and is_iterable(value) and all(isinstance(each, str) for each in value)
    if not fits:
        raise TypeError(f"Value type of {type(value)} not instance of {wanted} for search attribute {key.name}")
