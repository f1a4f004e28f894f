"""How a run speaks to its code: the errors and warnings it meets. An API of its own over memflow has its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from memflow.errors import ConfigurationError, DeterminismError, ReadOnlyError
from memflow.run_info import RunInfo


class UnknownHandler(ConfigurationError):
    """No handler has that name; the message lists those there are."""


class Sandbox(Protocol):
    """What a run's own modules are kept from besides what every run is kept from."""

    def enter(self) -> None:
        """A turn begins in this thread."""
        ...

    def leave(self) -> None:
        """It ends."""
        ...

    def holds(self, module: dict[str, Any]) -> bool:
        """Whether these are the globals of one of the run's own modules."""
        ...

    def check(self, name: str, module: dict[str, Any]) -> None:
        """Raise what is to be raised when one of these modules uses what is called, say, `time.time.__call__`.

        `module`: its globals.
        """
        ...

    def frees(self, name: str) -> bool:
        """Whether the program has said that these modules may use what they could not by default."""
        ...


class Dialect:
    """memflow's own words."""

    sandbox: Sandbox | None = None
    """What code in the workflow's own modules may not do; None: clocks and chance are answered by the run everywhere."""
    guarded: bool = True
    """Whether calls that no replay could repeat are refused."""
    loop_tells_the_time: ClassVar[bool] = False
    """Whether the event loop's clock counts from 1970, and not from the run's first turn."""
    retries_know_the_failure: ClassVar[bool] = False
    """Whether the next attempt of a run that failed is told why."""
    ends_with_its_turn: ClassVar[bool] = False
    """Whether code goes on until it is blocked when the run has ended. What it asks then is dropped."""
    answers_updates_at_end: ClassVar[bool] = False
    """Whether an accepted update hears of it when the run ends before its handler did; else whoever waits learns of the end."""
    update_left: ClassVar[str] = (
        "the run that accepted the update ended before its handler did, and goes on as a new run; send it again"
    )
    """What an update hears then, and where the run goes on as another one."""
    warnings_may_fail_turns: ClassVar[bool] = False
    """Whether a warning of the engine fails the turn where warnings are errors; else the log alone tells of it there."""

    def read_only(self, wanted: str, where: str | None) -> ReadOnlyError:
        """Code that may only look asked for `wanted`."""
        return ReadOnlyError(f"queries, validators and conditions may only look, but this one asks for {wanted}: {where}")

    def refused(self, call: str, instead: str, where: str) -> Exception:
        """Code made a call that no replay could repeat."""
        return DeterminismError(call, instead=instead, where=where)

    def log_failed_turn(
        self, log: logging.Logger, message: str, error: BaseException | None, run: RunInfo, extra: Mapping[str, object]
    ) -> None:
        """A turn has failed, or the run cannot be rebuilt: it is parked and tried again."""
        log.error(message, exc_info=error, extra=extra)

    def unknown_handler(self, kind: str, name: str, known: Sequence[str]) -> Exception:
        """Nothing answers signals, queries or updates (`kind`) of this name."""
        listed = ", ".join(known) or "none"
        verb = {"query": "queries", "update": "updates"}.get(kind, f"{kind}s")
        return UnknownHandler(f"{kind} handler for {name!r} expected but not found, known {verb}: [{listed}]")

    def undead(self, run_id: str) -> str:
        """Code of this run cannot be taken out of memory."""
        return "workflow code catches BaseException in a loop and cannot be taken out of memory cleanly"

    def unfinished(self, kind: str, handlers: Sequence[tuple[str, str | None]], workflow: str, workflow_id: str) -> str:
        """The run ended while these handlers of signals or updates ran: name and, of an update, its id."""
        named = ", ".join(f"{kind} {name}" if id is None else f"{kind} {name} ({id})" for name, id in handlers)
        return (
            f"workflow {workflow} ({workflow_id}) ended while handlers were running: {named};"
            " await workflow.wait_condition(workflow.all_handlers_finished) before its end, or declare them with"
            ' unfinished_policy="abandon"'
        )


DIALECT = Dialect()
