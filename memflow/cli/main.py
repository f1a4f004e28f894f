"""`memflow`: reads the arguments and runs one command. Commands are imported late, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module

from memflow.cli.problems import Exit, problem_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `problems.Exit`)."""
    options = parser().parse_args(arguments)
    module, _, function = str(options.command).partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(import_module(f"memflow.cli.{module}"), function)
    try:
        return command(options)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:                          # the reader of our output has seen enough
        sys.stderr.close()
        return Exit.DONE
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        problem = problem_of(error)
        print(problem, file=sys.stderr)
        return problem.code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    shared = argparse.ArgumentParser(add_help=False)
    database = shared.add_argument_group("database")
    database.add_argument("--dsn", help="Postgres URL (else $MEMFLOW_DSN, else the project's embedded Postgres)")
    database.add_argument("--schema", default="memflow", help="schema that memflow lives in (default: %(default)s)")
    database.add_argument("--namespace", default="default", help="(default: %(default)s)")
    shared.add_argument("-v", "--verbose", action="store_true", help="more words; tracebacks of errors")

    top = argparse.ArgumentParser(prog="memflow", description="Durable workflows on Postgres alone.")
    top.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    worker = commands.add_parser("worker", parents=[shared], help="run the workflows and activities of a module")
    worker.add_argument("modules", metavar="MODULE", nargs="+", help="such as shop.orders, or a file such as shop/orders.py")
    worker.add_argument("--queue", action="append", help="task queue to serve; may be given again (default: default)")
    worker.add_argument("--slots", type=int, default=100, help="activities at a time, per queue (default: %(default)s)")
    worker.add_argument("--lease", default="10 seconds", help="silence after which others take over (default: %(default)s)")
    worker.add_argument("--identity", help="how lists name this worker (default: process and host)")
    worker.add_argument("--version", dest="code_version", metavar="VERSION", help="version of the code, as shown with its runs")
    worker.add_argument("-q", "--quiet", action="store_true", help="say only what goes wrong")
    worker.add_argument("--uvloop", action="store_true", help="use uvloop (extra `speed`)")
    worker.set_defaults(command="worker:run")

    demo = commands.add_parser("demo", parents=[shared], help="see an order survive the death of its worker")
    demo.set_defaults(command="demo:run")

    _add_bench(commands.add_parser("bench", help="measure what memflow does on this database, and what limits it"))
    _add_run(commands.add_parser("run", help="look at runs"), shared)
    db = commands.add_parser("db", help="the schema in the database").add_subparsers(metavar="COMMAND", required=True)
    migrate = db.add_parser("migrate", parents=[shared], help="install or upgrade the schema")
    migrate.set_defaults(command="db:migrate")
    status = db.add_parser("status", parents=[shared], help="say whether the schema fits this version of memflow")
    status.set_defaults(command="db:status")
    return top


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="such as throughput (default: all; see --list)")
    bench.add_argument("--list", action="store_true", help="say which scenarios there are, and end")
    bench.add_argument("--dsn", help="Postgres URL (else $MEMFLOW_DSN, else the project's embedded Postgres)")
    bench.add_argument("--short", action="store_true", help="smaller numbers: all of it within three minutes")
    bench.add_argument("--n", type=int, help="how large the one scenario named is, instead of its own size")
    bench.add_argument("--workers", type=int, default=1, help="worker processes that run workflows (default: %(default)s)")
    bench.add_argument("--in-flight", type=int, default=200, help="calls of the client at a time (default: %(default)s)")
    bench.add_argument("--payload", type=int, default=100, metavar="BYTES", help="of arguments (default: %(default)s)")
    bench.add_argument("--idle", type=float, metavar="SECONDS", help="how long to watch sleepers (default: 10, --short: 5)")
    form = bench.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document on stdout, in the end")
    form.add_argument("--markdown", action="store_true", help="tables for a page, in the end")
    bench.add_argument("-v", "--verbose", action="store_true", help="tracebacks of errors")
    bench.set_defaults(command="bench:run")


def _add_run(run: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    verbs = run.add_subparsers(metavar="COMMAND", required=True)
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("-o", "--output", choices=["table", "json"], default="table", help="(default: %(default)s)")

    listing = verbs.add_parser("list", parents=[shared, output], help="list runs, newest first")
    listing.add_argument("--where", help="""a filter: 'status = failed and started > ago("2h")'""")
    listing.add_argument("--limit", type=int, default=50, help="(default: %(default)s)")
    listing.set_defaults(command="runs:list_runs")

    show = verbs.add_parser("show", parents=[shared, output], help="draw a run's timeline")
    describe = verbs.add_parser("describe", parents=[shared, output], help="tell all about a run")
    for each, command in ((show, "runs:show"), (describe, "runs:describe")):
        each.add_argument("id", metavar="ID", help="workflow id")
        each.add_argument("--run-id", help="one run of that id (default: the latest)")
        each.set_defaults(command=command)


class _ShowVersion(argparse.Action):
    """Looks the version up when asked for it, which takes longer than all the rest of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"memflow {version('memflow')}")
        except PackageNotFoundError:                 # run from a source tree that is not installed
            print("memflow, not installed")
        parser.exit()
