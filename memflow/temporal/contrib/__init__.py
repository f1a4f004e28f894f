"""Temporal's contributed modules that make sense here: `pydantic` and `opentelemetry`."""

from memflow.temporal.missing import not_offered

_FRAMEWORK = "call the framework in activities"
__getattr__ = not_offered(
    __name__,
    {
        "openai_agents": _FRAMEWORK,
        "google_adk_agents": _FRAMEWORK,
        "langgraph": _FRAMEWORK,
        "langsmith": _FRAMEWORK,
        "aws": "write a PayloadCodec that puts large payloads elsewhere",
        "gcp": "write a PayloadCodec that puts large payloads elsewhere",
        "workflow_streams": "use memflow.workflow.emit and client.events.subscribe",
    },
)
