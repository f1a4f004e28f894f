"""`memflow activity complete`, `fail`, `pause`, `resume` and `reset`: what an operator does to a pending activity."""

from __future__ import annotations

import argparse
import json
from typing import Any

from memflow.cli.connecting import with_client
from memflow.cli.problems import Exit
from memflow.client.client import Client
from memflow.client.pending import PendingActivityHandle
from memflow.errors import ApplicationError, ConfigurationError


def act(options: argparse.Namespace) -> int:
    """Do it, and say so."""
    value = _value(options.result) if options.verb == "complete" else None

    async def do(client: Client) -> None:
        activity = client.get_activity_handle(workflow_id=options.id, run_id=options.run_id, activity_id=options.activity_id)
        await _do(activity, options, value)

    with_client(options, do)
    print(f"{_DONE[options.verb]} activity {options.activity_id} of {options.id}")
    return Exit.DONE


_DONE = {"complete": "completed", "fail": "failed an attempt of", "pause": "paused", "resume": "resumed", "reset": "reset"}


async def _do(activity: PendingActivityHandle, options: argparse.Namespace, value: Any) -> None:
    match options.verb:
        case "complete":
            await activity.complete(value)
        case "fail":
            await activity.fail(ApplicationError(options.message, type=options.type, non_retryable=options.final))
        case "pause":
            await activity.pause()
        case "resume":
            await activity.resume()
        case _:
            await activity.reset(keep_paused=options.keep_paused, reset_heartbeats=options.reset_heartbeats)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"--result: {text!r} is no JSON ({error}); a text needs quotes of its own: '\"done\"'") from None
