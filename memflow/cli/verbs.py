"""The words of `memflow run VERB ...`: what each takes. What they do is in `steer`, which is loaded when one is used."""

from __future__ import annotations

import argparse
from typing import Any


def add_verbs(verbs: Any, shared: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add the verbs that act on one run."""
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("id", metavar="ID", help="workflow id")
    one.add_argument("--run-id", help="one run of that id (default: the latest)")
    timed = argparse.ArgumentParser(add_help=False)
    timed.add_argument("--timeout", help='how long to wait, such as "30s"')
    reasoned = argparse.ArgumentParser(add_help=False)
    reasoned.add_argument("--reason", help="why; shown with the run")
    versioned = argparse.ArgumentParser(add_help=False)
    versioned.add_argument("--version", metavar="V", help="pin the new run to this version of the code")

    def verb(name: str, help: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(name, parents=[shared, output, *parents], help=help)
        added.set_defaults(command=f"steer:{name}")
        return added

    begin = verb("start", "start a workflow by name", timed)
    begin.add_argument("name", metavar="NAME", help="workflow type")
    begin.add_argument("arguments", metavar="ARG", nargs="*", help="JSON, else text")
    begin.add_argument("--id", help="workflow id (default: a new one)")
    begin.add_argument("--queue", default="default", help="task queue (default: %(default)s)")
    begin.add_argument("--wait", action="store_true", help="wait for the end and print the result")
    begin.add_argument("--delay", help='not before this long from now, such as "1h"')
    begin.add_argument(
        "--on-conflict", choices=["fail", "use_existing", "terminate_existing"], default="fail", help="(default: %(default)s)"
    )
    verb("result", "wait for the end of a run and print its result", one, timed)
    verb("stack", "tell where the code of a run waits", one)
    for name, help in (
        ("signal", "send a run a signal by name"),
        ("query", "ask a run something"),
        ("update", "send a run an update and print what it returns"),
    ):
        message = verb(name, help, one, timed)
        message.add_argument("name", metavar="NAME", help="of the handler")
        message.add_argument("arguments", metavar="ARG", nargs="*", help="JSON, else text")
    verb("cancel", "ask a run to cancel itself", one, reasoned)
    verb("terminate", "end a run at once", one, reasoned)
    verb("pause", "keep a run from going on", one, reasoned)
    verb("resume", "let a paused run go on", one)
    move = verb("move", "move a run to another version of the code", one)
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--version", metavar="V", help="pin it to this version")
    where.add_argument("--newest", action="store_true", help="pin it to none: the newest that lives takes it")
    again = verb("reset", "begin a run again from a point of its journal", one, reasoned, versioned)
    again.add_argument("--to", required=True, metavar="POINT", help="seq of a turn's last entry, op:N, first, last or last_turn")
    again.add_argument("--drop-signals", action="store_true", help="do not deliver again what came after that point")
    other = verb("fork", "begin another run from a point of this one's journal", one, versioned)
    other.add_argument("--from", dest="from_", required=True, metavar="POINT", help="as for reset --to")
    other.add_argument("--new-id", help="its workflow id (default: a new one)")
