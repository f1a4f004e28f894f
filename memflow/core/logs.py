"""The logger of workflow code: it says each thing once, however often the run is rebuilt."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from memflow.core.context import current_or_none


class WorkflowLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the run's ids to `extra`; silent while a run is rebuilt or taken out of memory. Outside workflows it just logs."""

    def isEnabledFor(self, level: int) -> bool:
        replay = current_or_none()
        return not (replay is not None and replay.silent) and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        replay = current_or_none()
        if replay is not None:
            info = replay.info
            given = kwargs.get("extra")
            kwargs["extra"] = {
                "namespace": info.namespace,
                "workflow_id": info.workflow_id,
                "run_id": info.run_id,
                "workflow": info.workflow,
                "attempt": info.attempt,
                **(given if given is not None else {}),
            }
        return msg, kwargs


logger = WorkflowLogger(logging.getLogger("memflow.workflow"), {})
"""The logger for workflow code."""
