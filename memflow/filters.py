"""The filter language of lists: text in, a tree out. The store turns the tree into parameters, never into SQL text.

    status = failed and type in ("order", "refund") and started > ago("2h") and record.customer = "acme" and error ~ "timeout"

Operators: `= != < <= > >=`, `in (...)`, `not in (...)`, `~` (contains, whatever the case), `is null`, `is not null`, joined by
`and`, `or`, `not` and parentheses; `and` binds closer than `or`. Text stands in quotes; the words of `status` may stand bare.
Times are ISO text, `now()` or `ago("2 hours")`; durations are text or a number of seconds.
A list in a record is found by any of its texts: `record.tags = "new"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from math import isfinite
from typing import NoReturn

from memflow.duration import to_timedelta
from memflow.errors import ConfigurationError
from memflow.runs import Status

Value = str | int | float | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`.

    `field` is a name of `FIELDS` or `record.<path>` (segments joined by dots). `operator` is one of `= != < <= > >= ~`,
    `in` (then `value` is a tuple) or `is_null` (then `value` is None). A time is an aware datetime, a duration seconds.
    """

    field: str
    operator: str
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Both:
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Either:
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Not:
    inner: Filter


Filter = Compare | Both | Either | Not

FIELDS: Mapping[str, str] = {
    "status": "status",
    "detail": "text",
    "type": "text",
    "id": "text",           # workflow_id
    "run": "text",          # run_id
    "queue": "text",
    "parent": "text",       # the parent's workflow id
    "version": "text",
    "schedule": "text",     # id of the schedule that started it
    "error": "text",        # what a failed run failed with
    "started": "time",
    "closed": "time",
    "scheduled": "time",    # the instant for which a schedule started it
    "wake": "time",
    "duration": "duration",  # seconds from start to end, or until now
    "length": "number",     # of the journal
    "attempt": "number",
}
"""Every field that can be asked for, and the kind of its values: `status`, `text`, `time`, `duration` or `number`."""

ALIASES: Mapping[str, str] = {
    "workflow_id": "id",
    "run_id": "run",
    "task_queue": "queue",
    "started_at": "started",
    "closed_at": "closed",
    "finished": "closed",
    "wake_at": "wake",
    "parent_workflow_id": "parent",
    "schedule_id": "schedule",
    "scheduled_at": "scheduled",
    "failure": "error",
    "attempts": "attempt",
}
"""Other names people try, among them the columns of `v_runs`."""

_ORDERED = ("=", "!=", "<", "<=", ">", ">=")
_OPERATORS: Mapping[str, tuple[str, ...]] = {
    "status": ("=", "!=", "in", "is null"),
    "text": (*_ORDERED, "in", "~", "is null"),
    "time": (*_ORDERED, "is null"),
    "duration": (*_ORDERED, "is null"),
    "number": (*_ORDERED, "in", "is null"),
    "record": (*_ORDERED, "in", "~", "is null"),
}

_FIELD_NAMES = ", ".join([*FIELDS, "record.<path>"])

_LONGEST = 10_000
"""Characters of one filter. A person types a few hundred; the limit keeps a pasted file out of the parser."""

_DEEPEST = 100
"""Nested parentheses and `not`s, well below Python's own recursion limit."""

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<amount>\d[\w.]*)
  | (?P<word>[^\W\d][\w-]*)
  | (?P<operator><=|>=|!=|=|<|>|~)
  | (?P<mark>[(),.])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str                          # text number amount word operator mark end
    text: str
    column: int                        # from 1

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def parse(where: str, *, now: datetime, records: bool = False) -> Filter:
    """Read a filter. `now` is what `ago(...)` and `now()` count from: the database's time, aware.

    With `records` a field that is none of the run's is one of its record: `customer = "acme"` for `record.customer = "acme"`.

    Raises:
        ConfigurationError: the text cannot be read; the message names the column, what stands there and what may.
    """
    if len(where) > _LONGEST:
        raise ConfigurationError(f"the filter has {len(where)} characters; at most {_LONGEST} are read")
    return _Parser(_tokens(where), now, records).whole()


def needs_clock(where: str) -> bool:
    """Whether the filter counts from the present, so that it has to be asked for first."""
    return re.search(r"\b(ago|now)\s*\(", where, re.IGNORECASE) is not None


def _tokens(where: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(where):
        match = _TOKEN.match(where, at)
        if match is None:
            if where[at] in "\"'":
                _refuse(at + 1, "the quoted text does not end")
            _refuse(at + 1, f"{where[at]!r} has no meaning here; operators are = != < <= > >= ~ in, is null, and, or, not")
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match.group(), at + 1))
        at = match.end()
    tokens.append(_Token("end", "", len(where) + 1))
    return tokens


def _refuse(column: int, problem: str) -> NoReturn:
    raise ConfigurationError(f"filter, column {column}: {problem}")


class _Parser:
    """Recursive descent over the tokens: one method per rule of the grammar."""

    def __init__(self, tokens: list[_Token], now: datetime, records: bool) -> None:
        self._tokens = tokens
        self._now = now
        self._records = records
        self._next = 0
        self._depth = 0

    def whole(self) -> Filter:
        if self._peek().kind == "end":
            _refuse(1, "the filter is empty")
        tree = self._either()
        if self._peek().kind != "end":
            _refuse(self._peek().column, f"expected `and`, `or` or the end, found {self._peek()}")
        return tree

    # -- joining

    def _either(self) -> Filter:
        tree = self._both()
        while self._take_word("or"):
            tree = Either(tree, self._both())
        return tree

    def _both(self) -> Filter:
        tree = self._negation()
        while self._take_word("and"):
            tree = Both(tree, self._negation())
        return tree

    def _negation(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            _refuse(self._peek().column, f"nested more than {_DEEPEST} deep")
        try:
            if self._take_word("not"):
                return Not(self._negation())
            if self._take_mark("("):
                tree = self._either()
                self._need_mark(")")
                return tree
            return self._comparison()
        finally:
            self._depth -= 1

    # -- one comparison

    def _comparison(self) -> Filter:
        column = self._peek().column
        field, kind = self._field()
        token = self._advance()
        if token.is_word("is"):
            negated = self._take_word("not")
            if not self._take_word("null"):
                _refuse(self._peek().column, f"expected `null`, found {self._peek()}")
            test = Compare(field, "is_null", None)
            return Not(test) if negated else test
        if token.is_word("not") and self._peek().is_word("in"):
            self._advance()
            return Not(self._among(field, kind, column))
        if token.is_word("in"):
            return self._among(field, kind, column)
        if token.kind != "operator":
            _refuse(token.column, f"expected an operator after {field!r} ({' '.join(_OPERATORS[kind])}), found {token}")
        self._check_operator(field, kind, token.text, token.column)
        value_at = self._peek().column
        value = self._value(field, kind)
        if token.text == "~" and not isinstance(value, str):
            _refuse(value_at, "`~` looks for text: put it in quotes")
        if isinstance(value, bool) and token.text not in ("=", "!="):
            _refuse(token.column, "true and false can only be compared with = and !=")
        return Compare(field, token.text, value)

    def _among(self, field: str, kind: str, column: int) -> Compare:
        self._check_operator(field, kind, "in", column)
        self._need_mark("(")
        values = [self._value(field, kind)]
        while self._take_mark(","):
            values.append(self._value(field, kind))
        self._need_mark(")")
        return Compare(field, "in", tuple(values))

    def _check_operator(self, field: str, kind: str, operator: str, column: int) -> None:
        if operator not in _OPERATORS[kind]:
            _refuse(column, f"{field!r} cannot be compared with {operator!r}; allowed: {' '.join(_OPERATORS[kind])}")

    def _field(self) -> tuple[str, str]:
        token = self._advance()
        if token.kind != "word" or token.is_word("and", "or", "in", "is"):
            _refuse(token.column, f"expected a field, found {token}; fields: {_FIELD_NAMES}")
        if token.text.lower() == "record":
            return self._record_path(token), "record"
        name = token.text.lower()
        name = ALIASES.get(name, name)
        if name not in FIELDS and self._records:
            return self._record_path(token, [token.text]), "record"
        if name not in FIELDS:
            near = get_close_matches(name, [*FIELDS, *ALIASES, "record"], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
            _refuse(token.column, f"unknown field {token.text!r}; {hint}fields: {_FIELD_NAMES}")
        return name, FIELDS[name]

    def _record_path(self, start: _Token, names: list[str] | None = None) -> str:
        path = ["record", *(names or ())]
        while self._take_mark("."):
            token = self._advance()
            segment = self._unquote(token) if token.kind == "text" else token.text
            if token.kind not in ("word", "text", "number", "amount") or not segment or "." in segment:
                _refuse(token.column, f"expected the name of a record field, found {token}")
            path.append(segment)
        if len(path) == 1:
            _refuse(start.column, "say which record field: record.<name>")
        return ".".join(path)

    # -- values

    def _value(self, field: str, kind: str) -> Value:
        token = self._advance()
        if token.is_word("null"):
            _refuse(token.column, f"nothing equals null; write `{field} is null` or `{field} is not null`")
        match kind:
            case "status":
                return self._status(token)
            case "text":
                return self._text(field, token)
            case "number":
                return self._number(field, token)
            case "time":
                return self._time(field, token)
            case "duration":
                return self._seconds(field, token)
            case _:
                return self._any(field, token)

    def _status(self, token: _Token) -> Value:
        text = self._unquote(token) if token.kind == "text" else token.text
        if token.kind in ("text", "word") and text.lower() in set(Status):
            return text.lower()
        allowed = ", ".join(Status)
        near = get_close_matches(text.lower(), [str(s) for s in Status], n=1)
        _refuse(token.column, f"no status {token}{f', did you mean {near[0]!r}?' if near else ';'} statuses: {allowed}")

    def _text(self, field: str, token: _Token) -> Value:
        if token.kind != "text":
            _refuse(token.column, f"{field!r} is text: put it in quotes, as {field} = \"...\"; found {token}")
        return self._unquote(token)

    def _number(self, field: str, token: _Token) -> Value:
        if token.kind != "number":
            _refuse(token.column, f"{field!r} is a number; found {token}")
        return _number(token)

    def _time(self, field: str, token: _Token) -> Value:
        if token.is_word("now"):
            self._need_mark("(")
            self._need_mark(")")
            return self._now
        if token.is_word("ago"):
            self._need_mark("(")
            amount = self._advance()
            back = timedelta(seconds=self._seconds("ago", amount))
            self._need_mark(")")
            try:
                return self._now - back
            except OverflowError:
                _refuse(amount.column, f"{amount} ago is before the first year there is")
        if token.kind == "text":
            try:
                at = datetime.fromisoformat(self._unquote(token))
                return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
            except (ValueError, OverflowError):
                _refuse(token.column, f"{token} is no time; write \"2026-01-31T12:00:00Z\", now() or ago(\"2h\")")
        _refuse(token.column, f"{field!r} is a time: \"2026-01-31T12:00:00Z\", now() or ago(\"2h\"); found {token}")

    def _seconds(self, field: str, token: _Token) -> float:
        if token.kind not in ("text", "number", "amount"):
            _refuse(token.column, f"{field!r} takes a duration: \"2 hours\", 90s or a number of seconds; found {token}")
        amount = _number(token) if token.kind == "number" else self._unquote(token) if token.kind == "text" else token.text
        return to_timedelta(amount, what=f"filter, column {token.column}: {field}").total_seconds()

    def _any(self, field: str, token: _Token) -> Value:
        if token.kind == "text":
            return self._unquote(token)
        if token.kind == "number":
            return _number(token)
        if token.is_word("true", "false"):
            return token.text.lower() == "true"
        _refuse(token.column, f"{field!r} compares with quoted text, a number, true or false; found {token}")

    def _unquote(self, token: _Token) -> str:
        text = re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
            _refuse(token.column, "the text holds a character that Postgres cannot store")
        return text

    # -- the tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _advance(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _take_word(self, word: str) -> bool:
        if self._peek().is_word(word):
            self._next += 1
            return True
        return False

    def _take_mark(self, mark: str) -> bool:
        token = self._peek()
        if token.kind == "mark" and token.text == mark:
            self._next += 1
            return True
        return False

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            _refuse(self._peek().column, f"expected {mark!r}, found {self._peek()}")


def _number(token: _Token) -> int | float:
    try:
        number = int(token.text)
    except ValueError:
        value = float(token.text)
        if not isfinite(value):
            _refuse(token.column, f"{token} is too large")
        return value
    if not -(2**63) <= number < 2**63:
        _refuse(token.column, f"{token} does not fit 64 bits")
    return number
