"""Temporal's `api.enums`."""
