"""Replays journals against code: does today's code ask for what was recorded? Needs no database and no worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from memflow.client.histories import WorkflowHistory
from memflow.codec import Codec
from memflow.core.definition import Definition
from memflow.core.journal import rebuild
from memflow.core.replay import TurnFailed
from memflow.errors import ConfigurationError
from memflow.worker import guard
from memflow.worker.registry import Registry


class Replays:
    """The workflows of some code, held against journals."""

    def __init__(self, workflows: Iterable[Any], codec: Codec) -> None:
        """Raises ConfigurationError: something listed is no workflow, or two have one name."""
        self.workflows: Mapping[str, Definition] = Registry(workflows, ()).workflows
        self._codec = codec
        guard.install()                                  # clock and chance are replay-safe there, as in a worker

    def knows(self, history: WorkflowHistory) -> bool:
        """Whether its workflow is among them."""
        return history.info.workflow in self.workflows

    def check(self, history: WorkflowHistory) -> Exception | None:
        """Replay a journal; None when the code asks for exactly what it holds.

        Otherwise a `NondeterminismError` with both sides of the first difference, or what the code raised. A journal that
        records a failed run replays well: failing again is what it holds.

        Raises:
            ConfigurationError: its workflow is not among those listed.
        """
        definition = self.workflows.get(history.info.workflow)
        if definition is None:
            known = ", ".join(sorted(self.workflows)) or "none"
            name = history.info.workflow
            raise ConfigurationError(
                f"the history of {history.workflow_id!r} is of workflow {name!r}, which is not listed; listed: {known}"
            )
        try:
            rebuild(definition, history.info, self._codec, history.journal).close()
        except TurnFailed as error:
            cause = error.__cause__
            return cause if isinstance(cause, Exception) else error
        except Exception as error:                       # user code was called: whatever it raised is the answer
            return error
        return None
