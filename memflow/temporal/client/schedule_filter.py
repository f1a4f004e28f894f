"""The list filter for schedules, which are few: read as that of workflows, and looked at here, schedule by schedule."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from memflow.temporal.arguments import is_list
from memflow.temporal.client.schedules import ScheduleListDescription
from memflow.temporal.client.visibility import Tokens

Fields = Mapping[str, Any]
Test = Callable[[Fields], bool]

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def fields_of(schedule: ScheduleListDescription) -> Fields:
    """What a filter can ask of a schedule."""
    fields = {pair.key.name: pair.value for pair in schedule.typed_search_attributes}
    paused = schedule.schedule is not None and schedule.schedule.state.paused
    return {**fields, "ScheduleId": schedule.id, "TemporalSchedulePaused": paused}


def matcher(text: str | None) -> Test:
    """Whether a schedule is meant.

    Raises:
        RPCError: the filter cannot be read; the message says where.
    """
    if text is None or not text.strip():
        return lambda fields: True
    reader = _Reader(text)
    test = reader.either()
    reader.end()
    return test


class _Reader(Tokens):
    def either(self) -> Test:
        tests = [self._both()]
        while self.take_word("or"):
            tests.append(self._both())
        return lambda fields: any(test(fields) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self.take_word("and"):
            tests.append(self._one())
        return lambda fields: all(test(fields) for test in tests)

    def _one(self) -> Test:
        if self.take_word("not"):
            return _negated(self._one())
        if self.take_mark("("):
            test = self.either()
            self.need_mark(")")
            return test
        name = self.name(())
        if self.take_word("is"):
            negated = self.take_word("not")
            self.need_word("null")
            return lambda fields: (fields.get(name) is None) is not negated
        if self.take_word("between"):
            low = self._value()
            self.need_word("and")
            high = self._value()
            return lambda fields: _holds(operator.ge, fields.get(name), low) and _holds(operator.le, fields.get(name), high)
        negated = self.take_word("not")
        if self.take_word("in"):
            self.need_mark("(")
            values = [self._value()]
            while self.take_mark(","):
                values.append(self._value())
            self.need_mark(")")
            return _negated_if(negated, lambda fields: any(_holds(operator.eq, fields.get(name), each) for each in values))
        if self.take_word("starts_with"):
            prefix = str(self._value())
            return _negated_if(negated, lambda fields: str(fields.get(name) or "").startswith(prefix))
        compare = _OPERATORS[self.operator(name)]
        value = self._value()
        return lambda fields: _holds(compare, fields.get(name), value)

    def _value(self) -> Any:
        kind, text = self.value()
        if kind == "number":
            return float(text)
        return text == "true" if kind == "word" else text


def _negated(test: Test) -> Test:
    return lambda fields: not test(fields)


def _negated_if(negated: bool, test: Test) -> Test:
    return _negated(test) if negated else test


def _holds(compare: Callable[[Any, Any], bool], own: Any, value: Any) -> bool:
    if own is None:
        return False
    if is_list(own):
        return any(_holds(compare, each, value) for each in own)
    if isinstance(own, datetime) and isinstance(value, str):
        value = _instant(value)
    try:
        return compare(own, value)
    except TypeError:
        return False


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
