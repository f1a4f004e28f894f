"""Temporal's `api.common`."""
