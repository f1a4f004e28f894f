"""A replay that a test forgets would unwind whenever the garbage collector comes by; here it is closed with its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core import playing


@pytest.fixture(autouse=True)
def closed_replays() -> Iterator[None]:
    yield
    while playing.OPEN:
        playing.OPEN.pop().close()
