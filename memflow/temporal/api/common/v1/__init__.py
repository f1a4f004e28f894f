"""Payloads as programs for Temporal know them. They behave like the messages, without protobuf."""

from memflow.temporal.api.common.v1.message_pb2 import (
    ActivityType,
    Header,
    Memo,
    Payload,
    Payloads,
    WorkflowExecution,
    WorkflowType,
)

__all__ = ["ActivityType", "Header", "Memo", "Payload", "Payloads", "WorkflowExecution", "WorkflowType"]
