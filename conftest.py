"""Loads the pytest plugin where an editable install is older than its entry point, for `tests/` and `samples/` alike."""

from __future__ import annotations

from importlib.metadata import entry_points

pytest_plugins = [] if any(each.name == "memflow" for each in entry_points(group="pytest11")) else ["memflow_testing.plugin"]
