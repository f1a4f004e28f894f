"""A Postgres of the project's own: binaries from a wheel or the machine, life cycle ours, nothing left behind.

Whoever uses the server holds a shared flock on `lease`. One supervisor per directory (exclusive flock on `supervisor`) is
Postgres' parent: it reaps it, and stops it once it can take `lease` exclusively for `idle` seconds. The kernel drops the
flocks of killed processes and signals Postgres when its supervisor dies, so `kill -9` of any of them leaks nothing.

Read in this order: `server` (what a user does), `supervisor`, `state` (what both know), `binaries` (whose Postgres, run as whom).
In the directory lie `data/` (Postgres' own), `password`, `port`, `state.json` (how to connect, while it runs), `postgres.log`.
"""

from memflow.embedded.server import TEST_SETTINGS, Embedded, default_root, start

__all__ = ["TEST_SETTINGS", "Embedded", "default_root", "start"]
