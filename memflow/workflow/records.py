"""The run's searchable record: fields that lists and filters see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memflow.core import context
from memflow.core.interrupts import WriteRecord


async def enrich(fields: Mapping[str, Any]) -> None:
    """Set fields of this run's record, when this turn commits. Others stay; filters name them `record.<field>`.

    Raises:
        PayloadError: a value is no plain JSON value.
    """
    replay = context.current("enrich")
    encoded = replay.codec.encode(dict(fields))
    if fields:
        replay.ask(WriteRecord(replay.next_op(), encoded))
