"""Journals as files beside tests: replayed against today's code, or compared entry by entry without ids and times."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Any

from memflow.client.histories import WorkflowHistory, read_histories
from memflow.codec import Codec, JsonCodec
from memflow.core.entries import to_row
from memflow.replaying import Replays

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:?\d\d|Z)?")


class ReplayGate:
    """`memflow_replay`."""

    def check(self, *patterns: str, workflows: Sequence[Any], codec: Codec | None = None) -> int:
        """Replay every run in the files that match; how many there were.

        Raises:
            AssertionError: no file matches, or runs do not fit today's code; the message shows both sides of each.
            ConfigurationError: a file holds no exported run, or one of a workflow that is not listed.
        """
        replays = Replays(workflows, codec or JsonCodec())
        paths = sorted({path for pattern in patterns for path in glob(pattern, recursive=True)})
        assert paths, f"no file matches {', '.join(patterns)}; write some with: memflow run export ID > tests/journals/NAME.jsonl"
        count = 0
        wrong: list[str] = []
        for path in paths:
            for history in read_histories(Path(path).read_text(encoding="utf-8"), codec=codec):
                count += 1
                error = replays.check(history)
                if error is not None:
                    wrong.append(f"{path}: {type(error).__name__}: {error}")
        assert not wrong, "\n\n".join(wrong)
        return count


class JournalSnapshot:
    """`memflow_journal`: equal to a history whose entries are those of the file."""

    __hash__ = None  # type: ignore[assignment]  # it compares by content

    def __init__(self, path: Path, *, update: bool) -> None:
        self.path = path
        self._update = update
        self._lines: list[str] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkflowHistory):
            raise TypeError(f"memflow_journal is compared with `await handle.history()`, this is {type(other).__name__}")
        lines = lines_of(other)
        if self._update:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        elif not self.path.exists():
            raise AssertionError(f"there is no snapshot {self.path} yet; write it with: pytest --memflow-update")
        self._lines = self.path.read_text(encoding="utf-8").splitlines()
        if lines == self._lines:
            return True
        from difflib import unified_diff

        difference = "\n".join(unified_diff(self._lines, lines, str(self.path), "this run", lineterm=""))
        raise AssertionError(f"the journal is not that of the snapshot (pytest --memflow-update accepts it):\n{difference}")

    def __repr__(self) -> str:
        return f"<journal {self.path}>"


def lines_of(history: WorkflowHistory) -> list[str]:
    """A journal for comparison: one line per entry; ids are numbered as they appear, times are left out."""
    numbers: dict[str, str] = {history.workflow_id: "<workflow id>", history.run_id: "<run id>"}
    lines: list[str] = []
    for entry in history.journal:
        row = to_row(entry.entry)
        words = [f"{entry.turn:3}", row.kind]
        if row.op is not None:
            words.append(f"op {row.op}")
        if row.attributes is not None:
            words.append(json.dumps(json.loads(row.attributes), sort_keys=True, ensure_ascii=False))
        if row.data is not None:
            words.append(row.data.decode("utf-8", "backslashreplace"))
        line = _TIME.sub("<time>", " ".join(words))
        for id in (history.workflow_id, history.run_id):
            line = line.replace(id, numbers[id])
        lines.append(_ID.sub(lambda found: numbers.setdefault(found[0], f"<id {len(numbers) - 1}>"), line))
    return lines
