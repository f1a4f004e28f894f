"""Temporal's `api.history`."""
