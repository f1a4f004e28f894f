"""`memflow run start|result|signal|query|update|cancel|terminate|pause|resume|reset|fork|move|stack`: one run, one verb each.

What a person types as a value is JSON; a word that is none is taken as text, so that quotes can be left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from memflow.cli.connecting import with_client
from memflow.cli.output import as_json
from memflow.cli.problems import Exit
from memflow.client.client import Client
from memflow.client.handle import Handle


def start(options: argparse.Namespace) -> int:
    """Start a workflow by name."""

    async def act(client: Client) -> Any:
        handle = await client.workflow.start(
            str(options.name),
            args=values(options.arguments),
            id=options.id,
            task_queue=options.queue,
            on_conflict=options.on_conflict,
            start_delay=options.delay,
        )
        if options.wait:
            return await handle.result(options.timeout)
        return {"id": handle.id, "run_id": handle.run_id}

    found = with_client(options, act)
    if options.wait or options.output == "json":
        return _print_value(found)
    print(f"started {found['id']} (run {found['run_id']})")
    return Exit.DONE


def result(options: argparse.Namespace) -> int:
    """Wait for the end and print what the run returned."""
    return _print_value(_act(options, lambda handle: handle.result(options.timeout)))


def signal(options: argparse.Namespace) -> int:
    """Send a signal by name."""
    return _do(options, lambda handle: handle.signal(options.name, *values(options.arguments)), f"sent {options.name} to")


def query(options: argparse.Namespace) -> int:
    """Ask a run something, and print the answer."""
    limit = options.timeout or "10 seconds"
    return _print_value(_act(options, lambda handle: handle.query(options.name, *values(options.arguments), timeout=limit)))


def update(options: argparse.Namespace) -> int:
    """Send an update, wait for its end, and print what it returned."""
    return _print_value(
        _act(options, lambda handle: handle.update(options.name, *values(options.arguments), timeout=options.timeout))
    )


def cancel(options: argparse.Namespace) -> int:
    """Ask a run to cancel itself."""
    return _do(options, lambda handle: handle.cancel(options.reason), "asked to cancel itself:")


def terminate(options: argparse.Namespace) -> int:
    """End a run at once."""
    return _do(options, lambda handle: handle.terminate(options.reason), "terminated")


def pause(options: argparse.Namespace) -> int:
    """Keep a run from going on."""
    return _do(options, lambda handle: handle.pause(options.reason), "paused")


def resume(options: argparse.Namespace) -> int:
    """Let a paused run go on."""
    return _do(options, lambda handle: handle.resume(), "resumed")


def move(options: argparse.Namespace) -> int:
    """Pin a run to another version of the code, or to none."""
    version = None if options.newest else options.version
    return _do(options, lambda handle: handle.update_options(version=version), "moved")


def reset(options: argparse.Namespace) -> int:
    """Begin a run again from a point of its journal."""
    return _begun(
        options,
        lambda handle: handle.reset(
            _point(options.to), reapply=not options.drop_signals, version=options.version, reason=options.reason
        ),
    )


def fork(options: argparse.Namespace) -> int:
    """Begin another run from a point of this one's journal."""
    return _begun(options, lambda handle: handle.fork(_point(options.from_), id=options.new_id, version=options.version))


def stack(options: argparse.Namespace) -> int:
    """Where the code of a run waits."""
    text = _act(options, lambda handle: handle.stack())
    if options.output == "json":
        return _print_value({"stack": text})
    print(text or "it waits for nothing")
    return Exit.DONE


def values(words: Sequence[str]) -> list[Any]:
    """Arguments as typed: JSON, else text."""
    found: list[Any] = []
    for word in words:
        try:
            found.append(json.loads(word))
        except ValueError:
            found.append(word)
    return found


def _point(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text


def _act(options: argparse.Namespace, act: Callable[[Handle[Any]], Coroutine[Any, Any, Any]]) -> Any:
    async def ask(client: Client) -> Any:
        return await act(client.workflow.get_handle(options.id, options.run_id))

    return with_client(options, ask)


def _do(options: argparse.Namespace, act: Callable[[Handle[Any]], Coroutine[Any, Any, None]], done: str) -> int:
    _act(options, act)
    if options.output == "json":
        return _print_value({"id": options.id, "done": True})
    print(f"{done} {options.id}")
    return Exit.DONE


def _begun(options: argparse.Namespace, act: Callable[[Handle[Any]], Coroutine[Any, Any, Handle[Any]]]) -> int:
    handle: Handle[Any] = _act(options, act)
    if options.output == "json":
        return _print_value({"id": handle.id, "run_id": handle.run_id})
    print(f"begun {handle.id} (run {handle.run_id})")
    return Exit.DONE


def _print_value(value: Any) -> int:
    print(json.dumps(value, default=as_json, indent=2))
    return Exit.DONE
