"""The filter language: what it reads, and what it answers to what it cannot read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memflow.errors import ConfigurationError
from memflow.filters import FIELDS, Both, Compare, Either, Filter, Not, needs_clock, parse
from memflow.runs import Status

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def read(where: str) -> Filter:
    return parse(where, now=NOW)


def refusal(where: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(where)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_documented_example_is_read() -> None:
    where = (
        'status = "failed" and type in ("order", "refund") and started > ago("2h")'
        ' and record.customer = "acme" and error ~ "timeout"'
    )
    assert read(where) == Both(
        Both(
            Both(
                Both(Compare("status", "=", "failed"), Compare("type", "in", ("order", "refund"))),
                Compare("started", ">", NOW - timedelta(hours=2)),
            ),
            Compare("record.customer", "=", "acme"),
        ),
        Compare("error", "~", "timeout"),
    )


def test_and_binds_closer_than_or_and_parentheses_change_it() -> None:
    a, b, c = (Compare("id", "=", letter) for letter in "abc")
    assert read('id = "a" or id = "b" and id = "c"') == Either(a, Both(b, c))
    assert read('(id = "a" or id = "b") and id = "c"') == Both(Either(a, b), c)
    assert read('not id = "a" and id = "b"') == Both(Not(a), b)
    assert read('NOT (id = "a" OR id = "b")') == Not(Either(a, b))


@pytest.mark.parametrize(
    ("where", "tree"),
    [
        ("status = failed", Compare("status", "=", "failed")),
        ("status != RUNNING", Compare("status", "!=", "running")),
        ("status in (failed, 'timed_out')", Compare("status", "in", ("failed", "timed_out"))),
        ("status not in (completed)", Not(Compare("status", "in", ("completed",)))),
        ("closed is null", Compare("closed", "is_null", None)),
        ("closed is not null", Not(Compare("closed", "is_null", None))),
        ("started >= '2026-01-31'", Compare("started", ">=", datetime(2026, 1, 31, tzinfo=UTC))),
        ("started < '2026-01-31T12:00:00+02:00'", Compare("started", "<", datetime(2026, 1, 31, 10, tzinfo=UTC))),
        ("wake <= now()", Compare("wake", "<=", NOW)),
        ("started > ago(90)", Compare("started", ">", NOW - timedelta(seconds=90))),
        ("started > ago(2h)", Compare("started", ">", NOW - timedelta(hours=2))),
        ("duration > '1 hour'", Compare("duration", ">", 3600.0)),
        ("duration < 1.5", Compare("duration", "<", 1.5)),
        ("length >= 100", Compare("length", ">=", 100)),
        ("workflow_id = 'x'", Compare("id", "=", "x")),
        ("task_queue = 'x'", Compare("queue", "=", "x")),
        ("record.total > -4.5e3", Compare("record.total", ">", -4500.0)),
        ("record.address.city = 'Rome'", Compare("record.address.city", "=", "Rome")),
        ("record.'first name' = 'Ada'", Compare("record.first name", "=", "Ada")),
        ("record.paid = true", Compare("record.paid", "=", True)),
        ("record.items.0 = 'a'", Compare("record.items.0", "=", "a")),
        (r"id = 'it\'s \\ here'", Compare("id", "=", r"it's \ here")),
        ('id = "\'; drop table runs; --"', Compare("id", "=", "'; drop table runs; --")),
        ("id = 'größe 🚀'", Compare("id", "=", "größe 🚀")),
    ],
)
def test_reads(where: str, tree: Filter) -> None:
    assert read(where) == tree


@pytest.mark.parametrize(
    ("where", "column", "says"),
    [
        ("", 1, "empty"),
        ("statu = failed", 1, "'status'"),
        ("id = 'a' and taskqueue = 'b'", 14, "'task_queue'"),
        ("status = faild", 10, "'failed'"),
        ("status = failed and", 20, "expected a field"),
        ("status > failed", 8, "allowed: = != in"),
        ("type = order", 8, "quotes"),
        ("type == 'order'", 7, "is text"),
        ("type 'order'", 6, "expected an operator"),
        ("(id = 'a'", 10, "')'"),
        ("id = 'a') ", 9, "`and`, `or` or the end"),
        ("id = 'a' id = 'b'", 10, "`and`, `or` or the end"),
        ("id = 'a", 6, "does not end"),
        ("id = a;", 7, "no meaning"),
        ("id in ()", 8, "is text"),
        ("id in ('a' 'b')", 12, "')'"),
        ("id = null", 6, "`id is null`"),
        ("id is 3", 7, "`null`"),
        ("length = 'x'", 10, "is a number"),
        ("length = 99999999999999999999", 10, "64 bits"),
        ("started > 'soon'", 11, "is no time"),
        ("started > 5", 11, "is a time"),
        ("started > ago('soonish')", 15, "soonish"),
        ("duration > -5", 12, "negative"),
        ("record = 'x'", 1, "record.<name>"),
        ("record.a < true", 10, "= and !="),
        ("record.a ~ 5", 12, "quotes"),
        ("length ~ 5", 8, "allowed"),
        ("id = 'a\0b'", 6, "cannot store"),
        ("not " * 101 + "id = 'a'", 401, "100 deep"),
        ("(" * 101 + "id = 'a'" + ")" * 101, 101, "100 deep"),
    ],
)
def test_refuses_naming_the_column_and_the_way_out(where: str, column: int, says: str) -> None:
    text = refusal(where)
    assert text.startswith(f"filter, column {column}:"), text
    assert says in text


def test_a_filter_of_unreasonable_length_is_refused_before_it_is_read() -> None:
    assert "10000" in refusal("id = 'a' or " * 1000 + "id = 'b'")


def test_knows_when_the_present_is_asked_for() -> None:
    assert needs_clock("started > ago('1h')")
    assert needs_clock("wake < NOW ()")
    assert not needs_clock("id = 'a' and started > '2026-01-01'")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_but_never_breaks_the_parser(where: str) -> None:
    try:
        read(where)
    except ConfigurationError as error:
        assert "filter" in str(error)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_TEXT_FIELDS = st.sampled_from([name for name, kind in FIELDS.items() if kind == "text"])
_COMPARISONS = st.one_of(
    st.builds(Compare, _TEXT_FIELDS, st.sampled_from(["=", "~", "<"]), _TEXT),
    st.builds(Compare, st.just("status"), st.just("="), st.sampled_from([status.value for status in Status])),
    st.builds(Compare, st.just("length"), st.sampled_from(["=", ">="]), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda values: Compare("id", "in", tuple(values)), st.lists(_TEXT, min_size=1, max_size=3)),
)
_TREES: st.SearchStrategy[Filter] = st.recursive(
    _COMPARISONS,
    lambda inner: st.one_of(st.builds(Both, inner, inner), st.builds(Either, inner, inner), st.builds(Not, inner)),
    max_leaves=8,
)


def written(tree: Filter) -> str:
    match tree:
        case Both(left, right):
            return f"({written(left)}) and ({written(right)})"
        case Either(left, right):
            return f"({written(left)}) or ({written(right)})"
        case Not(inner):
            return f"not ({written(inner)})"
        case Compare(field, "in", tuple(values)):
            return f"{field} in ({', '.join(quoted(value) for value in values)})"
        case Compare(field, operator, value):
            return f"{field} {operator} {quoted(value)}"


def quoted(value: object) -> str:
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(_TREES)
def test_what_is_written_is_read_back(tree: Filter) -> None:
    assert read(written(tree)) == tree
