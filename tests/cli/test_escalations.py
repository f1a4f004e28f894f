"""Answering workflows from a terminal."""

from __future__ import annotations

import asyncio
import json

import pytest

from memflow import Client
from memflow.cli.main import main
from memflow.cli.problems import Exit


def test_list_claim_and_resolve(dsn: str, schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def ask() -> str:
        async with await Client.connect(dsn, schema=schema) as client:
            return (await client.escalations.create(role="clerk", type="refund", metadata={"order": 7})).id

    id = asyncio.run(ask())
    database = ["--dsn", dsn, "--schema", schema]

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["escalation", *arguments, *database])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    assert id in run("list", "--role", "clerk")[1]
    assert run("list", "--role", "boss")[1].strip() == "nobody is asked anything"
    assert "is held by ann until" in run("claim", id, "--assignee", "ann")[1]
    code, _, said = run("claim", id, "--assignee", "bob")
    assert code == Exit.ERROR and "somebody else holds it" in said
    code, _, said = run("resolve", id, "no json")
    assert code == Exit.USAGE and "is no JSON value" in said
    assert run("resolve", id, '{"yes": true}', "--assignee", "ann")[1].startswith(f"{id} is resolved")
    [found] = json.loads(run("list", "--status", "all", "-o", "json")[1])
    assert (found["status"], found["payload"], found["metadata"]) == ("resolved", {"yes": True}, {"order": 7})
    assert run("resolve", "nonsense")[0] == Exit.USAGE
