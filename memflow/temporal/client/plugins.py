"""Client plugins: they see how a client is configured and connected."""

from __future__ import annotations

from abc import ABC
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from memflow.temporal.service import ConnectConfig, ServiceClient

if TYPE_CHECKING:
    from memflow.temporal.client.client import ClientConfig


class Plugin(ABC):  # noqa: B024 - as Temporal's: both methods have a default
    """Changes clients. One that is a worker plugin too applies to the workers of its client."""

    def name(self) -> str:
        """Who it is."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Change what a client is made of."""
        return config

    async def connect_service_client(
        self, config: ConnectConfig, next: Callable[[ConnectConfig], Awaitable[ServiceClient]]
    ) -> ServiceClient:
        """Change how it connects."""
        return await next(config)
