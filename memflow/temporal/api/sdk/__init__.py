"""Temporal's `api.sdk`."""
