"""`memflow escalation list`, `claim` and `resolve`: answer workflows from a terminal."""

from __future__ import annotations

import argparse
import getpass
import json
from datetime import UTC, datetime
from typing import Any

from memflow.cli.connecting import with_client
from memflow.cli.output import ago, as_json, table
from memflow.cli.problems import Exit, Problem
from memflow.client.client import Client
from memflow.client.escalation_values import Escalation


def list_escalations(options: argparse.Namespace) -> int:
    """List what people are asked, the most urgent first."""

    async def collect(client: Client) -> list[Escalation]:
        status = None if options.status == "all" else options.status
        return await client.escalations.list(
            status=status, role=options.role, type=options.type, assigned_to=options.assignee, limit=options.limit
        )

    found = with_client(options, collect)
    if options.output == "json":
        print(json.dumps(found, default=as_json, indent=2))
        return Exit.DONE
    now = datetime.now(UTC)
    heads = ("ID", "STATUS", "PRIORITY", "ROLE", "TYPE", "ASKED", "HELD BY", "WORKFLOW", "ABOUT")
    rows = [
        (
            each.id,
            each.status,
            str(each.priority),
            each.role or "",
            each.type or "",
            ago(each.created_at, now),
            "" if each.available else each.assigned_to or "",
            each.workflow_id or "",
            each.description or ", ".join(f"{name}={value}" for name, value in each.metadata.items()),
        )
        for each in found
    ]
    print(table(heads, rows, empty="nobody is asked anything"))
    return Exit.DONE


def claim(options: argparse.Namespace) -> int:
    """Hold one for a while."""

    async def do(client: Client) -> Escalation:
        assignee = options.assignee or getpass.getuser()
        return await client.escalations.claim(options.id, assignee=assignee, duration=options.duration)

    found = with_client(options, do)
    until = "" if found.assigned_until is None else found.assigned_until.astimezone().isoformat(sep=" ", timespec="seconds")
    print(f"{found.id} is held by {found.assigned_to} until {until}")
    return Exit.DONE


def resolve(options: argparse.Namespace) -> int:
    """Answer one with a JSON value."""
    payload = _json(options.payload)

    async def do(client: Client) -> Escalation:
        return await client.escalations.resolve(options.id, payload, assignee=options.assignee)

    found = with_client(options, do)
    print(f"{found.id} is resolved" + (f"; workflow {found.workflow_id} goes on" if found.workflow_id else ""))
    return Exit.DONE


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Problem(
            f"{text!r} is no JSON value", why=str(error), then="quote texts, as in '\"yes\"'", code=Exit.USAGE
        ) from None
