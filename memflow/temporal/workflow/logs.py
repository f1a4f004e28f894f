"""The logger of workflow code: silent while a workflow is replayed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

from memflow.core.handlers import CURRENT_UPDATE
from memflow.temporal.workflow.dialect import details_of
from memflow.temporal.workflow.facts import own_info
from memflow.temporal.workflow.running import current_or_none


class LoggerAdapter(logging.LoggerAdapter[logging.Logger]):
    """Adds what is known of the workflow: to the message, and as `temporal_workflow` to `extra`."""

    def __init__(self, logger: logging.Logger, extra: Mapping[str, Any] | None) -> None:
        super().__init__(logger, extra or {})
        self.workflow_info_on_message = True
        self.workflow_info_on_extra = True
        self.full_workflow_info_on_extra = False
        self.log_during_replay = False
        self.disable_sandbox = False

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        running = current_or_none()
        if running is None:
            return msg, kwargs
        extra: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        if self.workflow_info_on_message or self.workflow_info_on_extra:
            details = details_of(running.replay.info)
            update = CURRENT_UPDATE.get()
            if update is not None:
                details.update(update_id=update.id, update_name=update.name)
            if self.workflow_info_on_message:
                shown = details
            if self.workflow_info_on_extra:
                extra["temporal_workflow"] = details
        if self.full_workflow_info_on_extra:
            extra["workflow_info"] = own_info(running)
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return (f"{msg} ({shown})" if shown else msg), kwargs

    def isEnabledFor(self, level: int) -> bool:
        running = current_or_none()
        if running is not None and running.replay.silent and not running.replay.read_only and not self.log_during_replay:
            return False
        return super().isEnabledFor(level)

    @property
    def base_logger(self) -> logging.Logger:
        """The logger beneath."""
        return self.logger

    def unsafe_disable_sandbox(self, value: bool = True) -> None:
        """Accepted: logging is never refused."""
        self.disable_sandbox = value


logger = LoggerAdapter(logging.getLogger("memflow.temporal.workflow"), None)
"""A logger whose records carry the workflow, and which says each thing once."""
