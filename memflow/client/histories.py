"""A run's journal as `handle.history()` gives it, and as JSON: to keep, to send, and to replay against other code.

The JSON holds payloads as the client reads them: one with the keys writes in clear what is encrypted in the database. What it
cannot read stays as it is stored, and cannot be replayed.
One object per run; several are one per line (JSONL). Fields that a newer version adds are left aside by an older one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from memflow.client.describe import HistoryEntry, history_of
from memflow.codec import Codec, JsonCodec
from memflow.core.definition import Origin, RunInfo
from memflow.core.entries import JournalEntry, Row, from_row, to_row
from memflow.errors import ConfigurationError, MemflowError
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.values import RunFacts, RunRow

FORMAT = 1
"""The version of the JSON. Readers refuse a higher one."""

_FACTS = (
    "namespace",
    "workflow_id",
    "run_id",
    "workflow",
    "task_queue",
    "attempt",
    "first_run_id",
    "parent_workflow_id",
    "parent_run_id",
    "continued_run_id",
)


class WorkflowHistory(list[HistoryEntry]):
    """The entries of one run's journal, in order, and which run it is."""

    def __init__(self, journal: Iterable[JournalEntry], info: RunInfo, status: Status, codec: Codec) -> None:
        self.journal = list(journal)
        """The entries as a rebuild takes them."""
        super().__init__(history_of(self.journal, codec))
        self.info = info
        self.status = status

    @property
    def workflow_id(self) -> str:
        """The id of the workflow."""
        return self.info.workflow_id

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.info.run_id

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads."""
        info = self.info
        found: dict[str, Any] = {"memflow": FORMAT, **{name: getattr(info, name) for name in _FACTS}}
        found["started_at"] = info.started_at.isoformat()
        found["status"] = self.status.value
        found["headers"] = dict(info.headers or {})
        found["record"] = None if info.given_record is None else _plain(info.given_record)
        found["memo"] = None if info.given_memo is None else _plain(info.given_memo)
        if info.origins:
            found["origins"] = [[each.turn, each.workflow_id, each.run_id] for each in info.origins]
        found["entries"] = [_entry(each) for each in self.journal]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any], *, codec: Codec | None = None) -> WorkflowHistory:
        """Read what `to_json` wrote, as text or as the object in it. `codec` is needed where payloads are encrypted.

        Raises:
            ConfigurationError: this is not an exported run; the message says what is wrong.
            SchemaError: a newer version of memflow wrote an entry that this one does not know.
        """
        try:
            found: Any = json.loads(text) if isinstance(text, str) else text
        except ValueError as error:
            raise ConfigurationError(f"not an exported run: no JSON: {error}") from None
        if not isinstance(found, Mapping) or "memflow" not in found or "entries" not in found:
            raise ConfigurationError("not an exported run: it has no `memflow` and `entries`, as to_json() writes them")
        facts = cast("Mapping[str, Any]", found)
        if not isinstance(facts["memflow"], int) or facts["memflow"] > FORMAT:
            raise ConfigurationError(f"exported in format {facts['memflow']!r}, this memflow reads up to {FORMAT}; upgrade it")
        try:
            info = RunInfo(
                **{name: facts[name] for name in _FACTS},
                started_at=datetime.fromisoformat(facts["started_at"]),
                headers=dict(facts["headers"]),
                given_record=_payload(facts["record"]),
                given_memo=_payload(facts["memo"]),
                origins=tuple(Origin(turn, workflow_id, run_id) for turn, workflow_id, run_id in facts.get("origins", ())),
            )
            journal = [_journal_entry(each) for each in facts["entries"]]
            status = Status(facts["status"])
        except MemflowError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"not an exported run: {type(error).__name__}: {error}") from error
        return cls(journal, info, status, codec or JsonCodec())


def history_from(row: RunRow, facts: RunFacts, journal: Iterable[JournalEntry], codec: Codec) -> WorkflowHistory:
    """The history of a run, from what the store knows of it."""
    info = RunInfo(
        row.namespace,
        row.workflow_id,
        row.run_id,
        row.workflow,
        row.task_queue,
        row.started_at,
        row.attempt,
        row.first_run_id,
        row.parent_workflow_id,
        row.parent_run_id,
        dict(facts.headers),
        facts.continued_run_id,
        facts.record,
        facts.memo,
        tuple(facts.origins),
    )
    return WorkflowHistory(journal, info, row.status, codec)


def read_histories(text: str, *, codec: Codec | None = None) -> Iterator[WorkflowHistory]:
    """The runs in a file: one JSON object, a list of them, or one per line.

    Raises:
        ConfigurationError, SchemaError: as `WorkflowHistory.from_json`.
    """
    try:
        found: Any = json.loads(text)
    except ValueError:
        for line in text.splitlines():
            if line.strip():
                yield WorkflowHistory.from_json(line, codec=codec)
        return
    for each in cast("list[Mapping[str, Any]]", found) if isinstance(found, list) else [found]:
        yield WorkflowHistory.from_json(each, codec=codec)


def _entry(entry: JournalEntry) -> dict[str, Any]:
    row = to_row(entry.entry)
    found: dict[str, Any] = {"seq": entry.seq, "turn": entry.turn, "at": entry.at.isoformat(), "kind": row.kind}
    if row.op is not None:
        found["op"] = row.op
    if row.attributes is not None:
        found["attributes"] = json.loads(row.attributes)
    if row.data is not None:
        found.update(_plain(Payload(row.data, row.encoding)))
    return found


def _journal_entry(found: Mapping[str, Any]) -> JournalEntry:
    attributes = found.get("attributes")
    payload = _payload(found) if "text" in found or "base64" in found else None
    row = Row(
        found["kind"],
        found.get("op"),
        None if attributes is None else json.dumps(attributes, separators=(",", ":")),
        None if payload is None else payload.encoding,
        None if payload is None else payload.data,
    )
    return JournalEntry(found["seq"], found["turn"], datetime.fromisoformat(found["at"]), from_row(row))


def _plain(payload: Payload) -> dict[str, str]:
    encoding = {} if payload.encoding is None else {"encoding": payload.encoding}
    try:
        return {**encoding, "text": payload.data.decode()}
    except UnicodeDecodeError:
        return {**encoding, "base64": base64.b64encode(payload.data).decode()}


def _payload(found: Mapping[str, Any] | None) -> Payload | None:
    if found is None:
        return None
    data = found["text"].encode() if "text" in found else base64.b64decode(found["base64"])
    return Payload(data, found.get("encoding"))
