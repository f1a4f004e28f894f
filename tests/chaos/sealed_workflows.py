"""The workflows of crash tests for workers that encrypt, and carry a context variable along."""

from __future__ import annotations

from contextvars import ContextVar

from memflow import activity, workflow
from memflow.codec import Compression, Encryption
from memflow.interceptors import ContextPropagator
from tests.chaos.crash_workflows import step

USER: ContextVar[str] = ContextVar("user", default="nobody")
CODEC = [Compression(min_size=64), Encryption(keys={"test": bytes(range(32))}, active="test")]
INTERCEPTORS = [ContextPropagator({"x-user": USER})]


@activity.defn
async def sealed_step(number: int, text: str) -> str:
    await step.fn(number)
    return f"{number} {USER.get()} {text}"


@workflow.defn
async def sealed_steps(text: str) -> list[str]:
    return [await sealed_step(number, text) for number in range(10)]
