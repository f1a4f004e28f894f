"""What ids may be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memflow.errors import ConfigurationError
from memflow.names import MAX_BYTES, check_name, child_run_id, child_workflow_id, new_id


@pytest.mark.parametrize(
    "name", ["a", "order-1", "o'brien", 'say "hi"', "日本", "🐘", "a b", "a/b%c;--", "x" * MAX_BYTES, "é" * (MAX_BYTES // 2)]
)
def test_is_taken_as_it_is(name: str) -> None:
    assert check_name(name, what="workflow id") == name


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "empty"),
        (" a", "blank"),
        ("a\u2003", "blank"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x85b", "control character"),
        ("\ud800", "surrogate"),
        ("x" * (MAX_BYTES + 1), "513 bytes"),
        ("é" * (MAX_BYTES // 2 + 1), "514 bytes"),
        (5, "not int"),
        (None, "not NoneType"),
    ],
)
def test_is_refused_with_the_reason(wrong: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"workflow id: .*{why}"):
        check_name(wrong, what="workflow id")


@given(st.text(st.characters(exclude_categories=()), max_size=600))
def test_is_never_changed(text: str) -> None:
    try:
        assert check_name(text, what="id") == text
    except ConfigurationError:
        return
    assert len(text.encode()) <= MAX_BYTES and "\0" not in text and text == text.strip()


def test_new_ids_are_uuids_in_the_order_of_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {UUID(each).version for each in ids} == {7}
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)


def test_children_have_ids_of_their_own_for_each_run_and_op() -> None:
    first, second = new_id(), new_id()
    ids = [child_workflow_id("parent", run, op) for run in (first, second) for op in (1, 2)]
    runs = [child_run_id(run, op) for run in (first, second) for op in (1, 2)]
    assert len(set(ids)) == len(set(runs)) == 4
    assert child_workflow_id("parent", first, 1) == ids[0] and child_run_id(first, 1) == runs[0]
    assert all(each.startswith("parent/") for each in ids)


def test_a_child_of_a_parent_with_the_longest_id_has_a_valid_one() -> None:
    derived = child_workflow_id("x" * MAX_BYTES, new_id(), 12)
    assert check_name(derived, what="workflow id") == derived
