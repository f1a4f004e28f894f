"""`Replayer`: holds today's workflow code against journals that were exported, without a database or a worker."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memflow.client.histories import WorkflowHistory
from memflow.codec import Codec, JsonCodec
from memflow.errors import ConfigurationError
from memflow.replaying import Replays

History = WorkflowHistory | str | Mapping[str, Any]
"""What `handle.history()` gave, or the JSON of it."""


@dataclass(frozen=True, slots=True)
class WorkflowReplayResult:
    """How one replay went. `replay_failure` None: the code asks for exactly what the journal holds."""

    history: WorkflowHistory
    replay_failure: Exception | None


@dataclass(frozen=True, slots=True)
class WorkflowReplayResults:
    """How several went: failures by run id."""

    replay_failures: Mapping[str, Exception] = field(default_factory=dict[str, Exception])


class Replayer:
    """Replays journals of these workflows.

        handle = client.workflow.get_handle("order-1")
        await Replayer(workflows=[order_workflow]).replay_workflow(await handle.history())

    Raises:
        ConfigurationError: something listed is no workflow.
    """

    def __init__(self, *, workflows: Sequence[Any], codec: Codec | None = None) -> None:
        if not workflows:
            raise ConfigurationError("Replayer: list the workflows: Replayer(workflows=[order_workflow])")
        self._codec = codec or JsonCodec()
        self._replays = Replays(workflows, self._codec)

    async def replay_workflow(self, history: History, *, raise_on_replay_failure: bool = True) -> WorkflowReplayResult:
        """Replay one journal.

        Raises:
            NondeterminismError: the code asks for something else; the message shows both sides, the line, and a likely fix.
            Exception: what the code raised where it did not raise before.
            ConfigurationError: this is no exported run, or its workflow is not listed.
        """
        result = self._replay(history)
        if raise_on_replay_failure and result.replay_failure is not None:
            raise result.replay_failure
        return result

    async def replay_workflows(
        self, histories: Iterable[History] | AsyncIterable[History], *, raise_on_replay_failure: bool = True
    ) -> WorkflowReplayResults:
        """Replay several; stops at the first failure, unless `raise_on_replay_failure` is False.

        Raises:
            as `replay_workflow`.
        """
        failures: dict[str, Exception] = {}
        async for result in self.workflow_replay_iterator(histories):
            if result.replay_failure is None:
                continue
            if raise_on_replay_failure:
                raise result.replay_failure
            failures[result.history.run_id] = result.replay_failure
        return WorkflowReplayResults(failures)

    async def workflow_replay_iterator(
        self, histories: Iterable[History] | AsyncIterable[History]
    ) -> AsyncIterator[WorkflowReplayResult]:
        """One result after the other, as the histories come."""
        if isinstance(histories, AsyncIterable):
            async for history in histories:
                yield self._replay(history)
        else:
            for history in histories:
                yield self._replay(history)

    def _replay(self, history: History) -> WorkflowReplayResult:
        if not isinstance(history, WorkflowHistory):
            if not isinstance(history, str | Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers need not be typed
                raise ConfigurationError(
                    f"a history is what handle.history() gives, or its JSON; this is {type(history).__name__}"
                )
            history = WorkflowHistory.from_json(history, codec=self._codec)
        return WorkflowReplayResult(history, self._replays.check(history))
