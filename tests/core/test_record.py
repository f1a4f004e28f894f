"""The record as a fold over the journal: what each verb makes of it, what it refuses, and that a replay makes the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memflow.core.context import current
from memflow.core.interrupts import Complete, WriteRecord
from memflow.core.record import Folded, at_path, folding, parts_of
from memflow.errors import ConfigurationError, PayloadError
from memflow.payload import Payload
from tests.core.playing import CODEC, Played, activity, condition

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text("abc", min_size=1, max_size=1), JSON, max_size=4)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "0", "1"]), min_size=1, max_size=4).map(".".join)


def made(verb: str, document: dict[str, Any], *arguments: Any) -> tuple[dict[str, Any], Any]:
    return folding(verb, arguments)(document)


@pytest.mark.parametrize(
    ("verb", "document", "arguments", "becomes", "answer"),
    [
        ("search.set", {"a": 1}, [{"b": 2, "a": 3}], {"a": 3, "b": 2}, 2),
        ("search.set", {}, [{"a.b": 1}], {"a.b": 1}, 1),
        ("search.delete", {"a": 1, "b": 2}, [["a", "z"]], {"b": 2}, 1),
        ("search.incr", {}, ["n", 5], {"n": 5}, 5),
        ("search.incr", {"n": 1}, ["n", -0.5], {"n": 0.5}, 0.5),
        ("search.mult", {"n": 12}, ["n", 10], {"n": 120}, 120),
        ("search.mult", {"n": 2}, ["n", -3], {"n": -6}, -6),
        ("search.mult", {}, ["n", 4], {"n": 4}, 4),
        ("entity.set", {"a": 1}, [{"b": 2}], {"b": 2}, {"b": 2}),
        (
            "entity.merge",
            {"a": {"b": {"c": {"d": {"e": 1}}}}, "l": [1]},
            [{"a": {"b": {"c": {"d": {"f": 2}}}}, "l": [2]}],
            {"a": {"b": {"c": {"d": {"e": 1, "f": 2}}}}, "l": [2]},
            {"a": {"b": {"c": {"d": {"e": 1, "f": 2}}}}, "l": [2]},
        ),
        ("entity.delete", {"a": {"b": 1, "c": 2}}, ["a.b"], {"a": {"c": 2}}, True),
        ("entity.delete", {"a": [1, 2, 3]}, ["a.1"], {"a": [1, 3]}, True),
        ("entity.delete", {"a": 1}, ["a.b"], {"a": 1}, False),
        ("entity.append", {}, ["a.b", 1], {"a": {"b": [1]}}, [1]),
        ("entity.append", {"a": [{"b": [1]}]}, ["a.0.b", 2], {"a": [{"b": [1, 2]}]}, [1, 2]),
        ("entity.prepend", {"a": [1]}, ["a", 2], {"a": [2, 1]}, [2, 1]),
        ("entity.remove", {"a": [1, 2, 3]}, ["a", 1], {"a": [1, 3]}, [1, 3]),
        ("entity.remove", {"a": [1, 2, 3]}, ["a", -1], {"a": [1, 2]}, [1, 2]),
        ("entity.remove", {"a": [1]}, ["a", 5], {"a": [1]}, [1]),
        ("entity.increment", {}, ["a.n", 2], {"a": {"n": 2}}, 2),
        ("entity.toggle", {}, ["a.on"], {"a": {"on": True}}, True),
        ("entity.toggle", {"on": True}, ["on"], {"on": False}, False),
        ("entity.set_if_not_exists", {"a": None}, ["a", 1], {"a": None}, None),
        ("entity.set_if_not_exists", {}, ["a.b", 1], {"a": {"b": 1}}, 1),
        ("memo.set", {"a": 1, "b": 2}, [{"a": None, "c": 3}], {"b": 2, "c": 3}, None),
    ],
)
def test_what_a_verb_makes_of_a_document(
    verb: str, document: dict[str, Any], arguments: list[Any], becomes: dict[str, Any], answer: Any
) -> None:
    assert made(verb, document, *arguments) == (becomes, answer)


@pytest.mark.parametrize(
    ("verb", "document", "arguments", "error", "says"),
    [
        ("search.incr", {"n": "12"}, ["n", 1], TypeError, "n is a text, not a number"),
        ("search.incr", {"n": True}, ["n", 1], TypeError, "a boolean"),
        ("search.incr", {}, ["n", "1"], TypeError, "a text"),
        ("search.incr", {"n": 1e308}, ["n", 1e308], ValueError, "too large"),
        ("search.mult", {"n": 10**3000}, ["n", 10**3000], ValueError, "too large"),
        ("search.mult", {"n": 10**400}, ["n", 0.5], ValueError, "too large"),
        ("search.set", {}, [{"a": "x\0"}], PayloadError, "NUL"),
        ("search.set", {}, [{"a": {"\ud800": 1}}], PayloadError, "surrogate"),
        ("entity.set", {}, [[1]], TypeError, "an object is needed, this is a list"),
        ("entity.append", {"a": {"b": 1}}, ["a.b", 1], TypeError, "a.b is a number, not a list"),
        ("entity.append", {"a": 1}, ["a.b", 1], TypeError, "a is a number; there is no 'b' in it"),
        ("entity.append", {"a": [1]}, ["a.7.b", 1], TypeError, "a is a list; there is no '7' in it"),
        ("entity.toggle", {"a": 1}, ["a"], TypeError, "not a boolean"),
        ("entity.remove", {"a": [1]}, ["a", "0"], TypeError, "no whole number"),
        ("entity.append", {}, ["a..b", 1], ConfigurationError, "names with dots"),
        ("entity.append", {}, ["", 1], ConfigurationError, "names with dots"),
        ("entity.append", {}, ["a\0", 1], PayloadError, "NUL"),
    ],
)
def test_what_a_verb_refuses(
    verb: str, document: dict[str, Any], arguments: list[Any], error: type[Exception], says: str
) -> None:
    before = repr(document)
    with pytest.raises(error, match=says):
        made(verb, document, *arguments)
    assert repr(document) == before


def merged(old: Any, new: Any) -> Any:
    """Said in another way than the code does."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = old.keys() & new.keys()
        return old | new | {key: merged(old[key], new[key]) for key in both}
    return new


@settings(max_examples=200)
@given(DOCUMENTS, DOCUMENTS)
def test_merging_goes_to_any_depth_and_changes_neither(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = repr((old, new))
    assert made("entity.merge", old, new)[0] == merged(old, new)
    assert repr((old, new)) == before


@settings(max_examples=300)
@given(DOCUMENTS, PATHS, JSON)
def test_what_is_set_lies_there_and_what_is_deleted_does_not(document: dict[str, Any], path: str, value: Any) -> None:
    before = repr(document)
    there = at_path(document, path)
    try:
        after, answer = made("entity.set_if_not_exists", document, path, value)
    except TypeError:
        assert at_path(document, path) is there
        return
    assert at_path(after, path) == answer
    gone, found = made("entity.delete", after, path)
    assert found
    if "0" not in parts_of(path) and "1" not in parts_of(path):
        assert made("entity.delete", gone, path) == (gone, False)
    assert repr(document) == before


def test_a_record_has_a_largest_size_that_many_small_writes_cannot_creep_over() -> None:
    async def code() -> int:
        replay = current()
        try:
            for n in range(400):
                replay.write_record("search.set", [{f"f{n}": "x" * 10_000}])
        except PayloadError:
            return len(replay.record)
        return -1

    played = Played(code)
    asked = played.start()
    assert isinstance(asked[-1], Complete) and asked[-1].result.data == b"104"


def test_a_value_that_is_replaced_again_and_again_does_not_fill_the_record() -> None:
    async def code() -> None:
        for n in range(300):
            current().write_record("search.set", [{"same": f"{n}" + "x" * 10_000}])

    played = Played(code)
    played.start()
    assert played.replay.finished


def test_answers_come_from_the_journal_where_the_code_now_gives_something_else() -> None:
    async def before() -> None:
        current().write_record("search.incr", ["n", 1])
        await activity("one")

    async def after() -> int:
        n: int = current().write_record("search.incr", ["n", 100])
        await activity("one")
        return n

    played = Played(before)
    played.start()
    rebuilt = played.rebuilt(after)
    assert rebuilt.record == {"n": 1}
    rebuilt.close()


def test_what_is_read_and_given_is_nobody_elses() -> None:
    async def code() -> list[int]:
        replay = current()
        mine = [1]
        replay.write_record("search.set", [{"list": mine}])
        mine.append(2)
        grown: list[int] = replay.write_record("entity.append", ["list", 3])
        grown.append(4)
        found: list[int] = replay.record["list"]
        return found

    played = Played(code)
    assert [asked for asked in played.start() if isinstance(asked, Complete)] == [Complete(Payload(b"[1,3]"))]


def test_a_refused_write_and_one_in_a_condition_take_no_op() -> None:
    async def code() -> None:
        replay = current()
        for verb, arguments in (("search.incr", ["n", "x"]), ("search.set", [{"a": {1}}])):
            with pytest.raises((TypeError, PayloadError)):
                replay.write_record(verb, arguments)
        await condition(lambda: replay.record.get("n") is None)
        replay.write_record("search.incr", ["n", 2])

    assert [type(each) for each in Played(code).start()] == [WriteRecord, Complete]


def test_a_run_begins_with_what_it_was_given() -> None:
    folded = Folded(CODEC.encode({"a": 1}))
    assert folded.apply(folding("search.incr", ["a", 1]), CODEC, 10) == 2
    assert folded.payload(CODEC) == Payload(b'{"a":2}')
