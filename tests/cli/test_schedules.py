"""`memflow schedule ...`: every verb, as a person types it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from memflow import Client
from memflow.cli.main import main
from memflow.cli.problems import Exit


@pytest.fixture
def call(dsn: str, schema: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a verb and gives exit code, stdout and stderr."""

    async def install() -> None:
        async with Client.connect(dsn, schema=schema):
            pass

    asyncio.run(install())

    def run(verb: str, *arguments: str) -> tuple[int, str, str]:
        code = main(["schedule", verb, *arguments, *(() if verb == "next" else ("--dsn", dsn, "--schema", schema))])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def described(call: Any, id: str) -> dict[str, Any]:
    code, out, _ = call("describe", id, "-o", "json")
    assert code == Exit.DONE
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_life_of_a_schedule(call: Any) -> None:
    code, out, _ = call(
        "create", "report", "make_report", "eu", "5", '{"a": 1}', "--cron", "0 9 * * MON-FRI", "--cron", "@monthly", "--zone",
        "Europe/Berlin", "--overlap", "buffer_one", "--limit", "20", "--queue", "reports", "--note", "for the office",
    )  # fmt: skip
    assert code == Exit.DONE and "0 9 * * MON-FRI; @monthly  (Europe/Berlin)" in out and "for the office" in out
    found = described(call, "report")
    assert (found["arguments"], found["overlap"], found["remaining_actions"], found["task_queue"], found["zone"]) == (
        ["eu", 5, {"a": 1}], "buffer_one", 20, "reports", "Europe/Berlin",
    )  # fmt: skip
    assert call("create", "other", "w", "--every", "10 minutes", "--paused")[0] == Exit.DONE
    code, out, _ = call("list")
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["other", "w", "default", "paused"], ["report", "make_report", "reports", "in"],
    ]  # fmt: skip
    assert call("pause", "report", "--note", "holidays")[0] == Exit.DONE
    assert (described(call, "report")["paused"], described(call, "report")["note"]) == (True, "holidays")
    assert call("resume", "report")[0] == Exit.DONE
    assert described(call, "report")["paused"] is False
    assert call("trigger", "report", "--overlap", "allow_all")[0] == Exit.DONE
    assert len(described(call, "report")["waiting"]) == 1
    assert call("backfill", "report", "2026-01-01T00:00", "2026-01-31T00:00+01:00")[0] == Exit.DONE
    assert call("delete", "report")[0] == Exit.DONE
    assert [each["id"] for each in json.loads(call("list", "-o", "json")[1])] == ["other"]
    assert call("describe", "other")[1].startswith("id        other")


def test_next_needs_no_database(call: Any) -> None:
    code, out, _ = call("next", "30 2 * * *", "--zone", "Europe/Berlin", "--after", "2026-03-28T12:00Z", "--count", "2")
    assert code == Exit.DONE
    assert [line.split() for line in out.splitlines()] == [
        ["DAY", "EUROPE/BERLIN", "UTC"],
        ["Sun", "2026-03-29", "03:00:00+02:00", "2026-03-29", "01:00:00+00:00"],
        ["Mon", "2026-03-30", "02:30:00+02:00", "2026-03-30", "00:30:00+00:00"],
    ]
    assert len(json.loads(call("next", "@daily", "-o", "json")[1])) == 10


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("describe", "missing"), Exit.NOT_FOUND, "no schedule 'missing'"),
        (("trigger", "missing"), Exit.NOT_FOUND, "memflow schedule list"),
        (("create", "s", "w"), Exit.USAGE, "nothing says when"),
        (("create", "s", "w", "--cron", "0 0 31 2 *"), Exit.USAGE, "never comes"),
        (("next", "* * * * * *"), Exit.USAGE, "sixth"),
        (("next", "@daily", "--zone", "Berlin"), Exit.USAGE, "Europe/Berlin"),
        (("next", "@daily", "--after", "soon"), Exit.USAGE, "'soon' is no time"),
    ],
)
def test_mistakes_are_three_lines_and_an_exit_code(call: Any, arguments: tuple[str, ...], code: int, says: str) -> None:
    found, out, err = call(*arguments)
    assert (found, out, len(err.splitlines())) == (code, "", 3) and says in err
