"""Temporal's `api.failure`."""
