"""What a test asks of its environment, by options and markers, and the environment that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from memflow_testing.environment import WorkflowEnvironment

STORES = ("memory", "postgres", "both")
MARK = 'memflow(store="memory", time="skipped", isolation="schema"): how the environment of this test is made'
ALLOWED = {"store": STORES, "time": ("skipped", "real"), "isolation": ("schema", "database")}


def settings_of(node: pytest.Item) -> dict[str, str]:
    """What the test's marker and the options say, checked."""
    found: dict[str, Any] = {"time": "skipped", "isolation": "schema", "store": node.config.getoption("--memflow-store")}
    marker = node.get_closest_marker("memflow")
    if marker is not None:
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.memflow takes keywords only, such as {MARK.partition(':')[0]}")
        for name, value in marker.kwargs.items():
            if name not in ALLOWED or value not in ALLOWED[name]:
                allowed = "; ".join(f"{each} is one of {', '.join(words)}" for each, words in ALLOWED.items())
                raise pytest.UsageError(f"@pytest.mark.memflow({name}={value!r}): {allowed}")
            found[name] = value
    chosen = getattr(node, "callspec", None)
    if chosen is not None and "memflow_store" in chosen.params:
        found["store"] = chosen.params["memflow_store"]
    if found["store"] is None:
        from memflow_testing.grounds import DEFAULT

        found["store"] = DEFAULT if found["isolation"] == "schema" else "postgres"
    elif found["store"] == "memory" and found["isolation"] == "database":
        raise pytest.UsageError('isolation="database" is for Postgres: leave out store="memory"')
    return {name: str(value) for name, value in found.items()}


async def open_environment(node: pytest.Item, dsn: str | None, *, store: str | None = None) -> WorkflowEnvironment:
    """The environment that a test asks for."""
    from memflow.errors import ConfigurationError
    from memflow_testing.environment import WorkflowEnvironment

    settings = settings_of(node)
    try:
        chosen = store or settings["store"]
        if settings["isolation"] == "database" and chosen == "postgres":
            from memflow_testing.postgres import PostgresGround

            ground = await PostgresGround.take(dsn, skipping=settings["time"] == "skipped", own_database=True)
            return WorkflowEnvironment.on(ground)
        start = WorkflowEnvironment.start_local if settings["time"] == "real" else WorkflowEnvironment.start_time_skipping
        return await start(dsn, store=chosen)
    except ConfigurationError as error:
        raise pytest.UsageError(f"memflow_env: {error}") from error
