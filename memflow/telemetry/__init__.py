"""OpenTelemetry, when it is installed (extra `otel`). Nothing else in the house knows it."""
