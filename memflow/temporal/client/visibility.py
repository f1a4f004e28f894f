"""Temporal's list filter, read and said in memflow's filter language, which in turn becomes parameters and never SQL text.

    WorkflowType = 'Order' AND ExecutionStatus IN ('Running', 'Failed') AND StartTime > '2026-01-01T00:00:00Z' ORDER BY CloseTime
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NoReturn

from memflow.client import RunSummary
from memflow.temporal.client.describing import STATUSES
from memflow.temporal.service import RPCError, RPCStatusCode
from memflow.workflow import standalone

FIELDS: Final[Mapping[str, str]] = {
    "WorkflowId": "id",
    "RunId": "run",
    "WorkflowType": "type",
    "ExecutionStatus": "status",
    "StartTime": "started",
    "ExecutionTime": "started",
    "CloseTime": "closed",
    "TaskQueue": "queue",
    "ParentWorkflowId": "parent",
    "HistoryLength": "length",
    "ExecutionDuration": "duration",
    "BuildIds": "version",
    "TemporalWorkerDeploymentVersion": "version",
    "TemporalScheduledById": "schedule",
}
"""Temporal's own attributes and memflow's fields for them."""

_STATUSES: Final[Mapping[str, str]] = {
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "terminated": "terminated",
    "continuedasnew": "continued_as_new",
    "timedout": "timed_out",
    "paused": "paused",
}
_NUMBERED: Final = {str(number.value): status.value for status, number in STATUSES.items() if status.value != "paused"}
"""The statuses by their numbers."""

_ORDERS: Final[Mapping[str, str]] = {
    "WorkflowId": "id",
    "RunId": "run",
    "WorkflowType": "type",
    "ExecutionStatus": "status",
    "StartTime": "started",
    "ExecutionTime": "started",
    "CloseTime": "closed",
    "HistoryLength": "length",
    "TaskQueue": "queue",
}
"""What Postgres sorts by, in memflow's words. The attributes of records are sorted here."""
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
  | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<word>[^\W\d][\w.:-]*|`[^`]+`)
  | (?P<operator><=|>=|!=|<>|=|<|>)
  | (?P<mark>[(),])
    """,
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 50
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "between", "starts_with", "order", "group", "by", "asc", "desc"})


@dataclass(frozen=True)
class Order:
    """An attribute of records by which a list is sorted; runs without it come last."""

    attribute: str
    descending: bool

    def sorted(self, runs: list[RunSummary]) -> list[RunSummary]:
        """The runs in this order."""
        known = [run for run in runs if run.record.get(self.attribute) is not None]
        known.sort(key=lambda run: run.record[self.attribute], reverse=self.descending)
        return known + [run for run in runs if run.record.get(self.attribute) is None]


@dataclass(frozen=True)
class Query:
    """A list filter in memflow's words. `order` None is the usual one: the latest start first."""

    where: str
    order: str | Order | None = None
    by_status: bool = False


@dataclass(frozen=True)
class Scope:
    """What is listed: its attributes, where their values differ from memflow's, and what else memflow would list."""

    fields: Mapping[str, str]
    where: str
    around: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """What stands before and after an attribute's value in memflow."""


_STANDALONE: Final = f'(id >= "{standalone.ID}" and id <= "{standalone.ID}\U0010fffd" and type ~ "{standalone.TYPE}")'

WORKFLOWS: Final = Scope(FIELDS, f"not {_STANDALONE}")
"""Workflows. Standalone activities are runs too, which Temporal's programs do not take for workflows."""

ACTIVITIES: Final = Scope(
    {
        "ActivityId": "id",
        "ActivityRunId": "run",
        "RunId": "run",
        "ActivityType": "type",
        "ExecutionStatus": "status",
        "StartTime": "started",
        "ExecutionTime": "started",
        "ScheduleTime": "started",
        "CloseTime": "closed",
        "TaskQueue": "queue",
        "ExecutionDuration": "duration",
    },
    _STANDALONE,
    {
        "ActivityId": (standalone.ID, ""),
        "ActivityType": (standalone.TYPE, ""),
        "TaskQueue": ("", standalone.run_queue("")),
    },
)
"""Activities without a workflow."""


def compiled(text: str | None, scope: Scope = WORKFLOWS) -> Query:
    """Read a list filter.

    Raises:
        RPCError: it cannot be read; the message says where and what may stand there.
    """
    if text is None or not text.strip():
        return Query(scope.where)
    return _Reader(text, scope).whole()


def _refuse(problem: str) -> NoReturn:
    raise RPCError(f"invalid query: {problem}", RPCStatusCode.INVALID_ARGUMENT, b"")


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _refuse(f"{text[at]!r} at column {at + 1} has no meaning here")
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match.group()))
        at = match.end()
    return [*found, ("end", "the end")]


class Tokens:
    """The words of a filter, read one by one. What cannot be read is refused with an RPCError."""

    def __init__(self, text: str) -> None:
        self._list = _tokens(text)
        self._at = 0

    def peek(self) -> tuple[str, str]:
        """The next token, which stays."""
        return self._list[self._at]

    def next(self) -> tuple[str, str]:
        """The next token, taken."""
        token = self._list[self._at]
        if token[0] != "end":
            self._at += 1
        return token

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words."""
        kind, text = self.peek()
        return kind == "word" and text.lower() in words

    def take_word(self, word: str) -> bool:
        """Take this word, if it is the next."""
        if self.is_word(word):
            self._at += 1
            return True
        return False

    def need_word(self, word: str) -> None:
        """Take this word."""
        if not self.take_word(word):
            _refuse(f"expected {word.upper()}, found {self.peek()[1]!r}")

    def take_mark(self, mark: str) -> bool:
        """Take this mark, if it is the next."""
        if self.peek() == ("mark", mark):
            self._at += 1
            return True
        return False

    def need_mark(self, mark: str) -> None:
        """Take this mark."""
        if not self.take_mark(mark):
            _refuse(f"expected {mark!r}, found {self.peek()[1]!r}")

    def name(self, known: Iterable[str]) -> str:
        """The name of an attribute; one that is nearly one of those known is taken for a slip."""
        kind, text = self.next()
        if kind != "word" or text.lower() in _KEYWORDS:
            _refuse(f"expected the name of an attribute, found {text!r}")
        name = text.strip("`")
        near = [] if name in known else get_close_matches(name, known, n=1, cutoff=0.85)
        if near:
            _refuse(f"there is no attribute {name}; did you mean {near[0]}?")
        return name

    def operator(self, name: str) -> str:
        """The operator that stands after an attribute."""
        kind, text = self.next()
        if kind != "operator":
            _refuse(f"expected an operator after {name}, found {text!r}")
        return text

    def value(self) -> tuple[str, str]:
        """A number, a text without its quotes, or the word true or false, and which of those it is."""
        kind, text = self.next()
        if kind == "number":
            return kind, text
        if kind == "text":
            return kind, _unquoted(text)
        if kind == "word" and text.lower() in ("true", "false"):
            return kind, text.lower()
        _refuse(f"expected a value, found {text!r}")

    def end(self) -> None:
        """There must be no more."""
        if self.peek()[0] != "end":
            _refuse(f"expected AND, OR, ORDER BY or the end, found {self.peek()[1]!r}")


class _Reader(Tokens):
    def __init__(self, text: str, scope: Scope) -> None:
        super().__init__(text)
        self._scope = scope
        self._around = ("", "")                  # of the attribute that is compared
        self._depth = 0

    def whole(self) -> Query:
        where = None if self.is_word("order", "group") else self._either()
        order: str | Order | None = None
        by_status = False
        if self.take_word("group"):
            self.need_word("by")
            if self.name(self._scope.fields) != "ExecutionStatus":
                _refuse("GROUP BY is for ExecutionStatus alone")
            by_status = True
        if self.take_word("order"):
            self.need_word("by")
            order = self._order()
        self.end()
        return Query(self._scope.where if where is None else f"({where}) and {self._scope.where}", order, by_status)

    def _order(self) -> str | Order:
        name = self.name(self._scope.fields)
        field = _ORDERS.get(name.replace("Activity", "Workflow"))
        if field is None and name in self._scope.fields:
            _refuse(f"cannot be ordered by {name}; {', '.join(_ORDERS)} can")
        descending = self.take_word("desc")
        if not descending:
            self.take_word("asc")
        if field is None:
            return Order(name, descending)
        return f"{field} {'desc' if descending else 'asc'}"

    def _either(self) -> str:
        said = self._both()
        while self.take_word("or"):
            said = f"({said} or {self._both()})"
        return said

    def _both(self) -> str:
        said = self._one()
        while self.take_word("and"):
            said = f"({said} and {self._one()})"
        return said

    def _one(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            _refuse(f"nested more than {_DEEPEST} deep")
        try:
            if self.take_word("not"):
                return f"not ({self._one()})"
            if self.take_mark("("):
                said = self._either()
                self.need_mark(")")
                return said
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> str:
        name = self.name(self._scope.fields)
        field = self._scope.fields.get(name) or f'record."{_escaped(name)}"'
        self._around = self._scope.around.get(name, ("", ""))
        if self.take_word("is"):
            negated = "not " if self.take_word("not") else ""
            self.need_word("null")
            return f"{field} is {negated}null"
        if self.take_word("between"):
            low = self._value(field)
            self.need_word("and")
            return f"({field} >= {low} and {field} <= {self._value(field)})"
        if self.take_word("starts_with"):
            return self._starts_with(field)
        if self.take_word("not"):
            if self.take_word("starts_with"):
                return f"not {self._starts_with(field)}"
            self.need_word("in")
            return f"{field} not in ({self._values(field)})"
        if self.take_word("in"):
            return f"{field} in ({self._values(field)})"
        operator = self.operator(name)
        return f"{field} {'!=' if operator == '<>' else operator} {self._value(field)}"

    def _starts_with(self, field: str) -> str:
        kind, text = self.next()
        if kind != "text":
            _refuse(f"STARTS_WITH takes a text, found {text!r}")
        prefix = _escaped(self._around[0] + _unquoted(text))
        return f'({field} >= "{prefix}" and {field} <= "{prefix}\U0010fffd" and {field} ~ "{prefix}")'

    def _values(self, field: str) -> str:
        self.need_mark("(")
        values = [self._value(field)]
        while self.take_mark(","):
            values.append(self._value(field))
        self.need_mark(")")
        return ", ".join(values)

    def _value(self, field: str) -> str:
        kind, text = self.next()
        if field == "status":
            plain = _unquoted(text) if kind == "text" else text
            found = _STATUSES.get(plain.lower().replace("_", "")) or _NUMBERED.get(plain)
            if found is None:
                _refuse(f"no ExecutionStatus {plain!r}; there are Running, Completed, Failed, Canceled, Terminated, TimedOut")
            return found
        if kind == "number":
            return text
        if kind == "text":
            before, after = self._around
            return f'"{_escaped(before + _unquoted(text) + after)}"'
        if kind == "word" and text.lower() in ("true", "false"):
            return text.lower()
        _refuse(f"expected a value, found {text!r}")


def _unquoted(text: str) -> str:
    quote = text[0]
    return re.sub(r"\\(.)", r"\1", text[1:-1].replace(quote * 2, quote), flags=re.DOTALL)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
