"""Event patterns."""

from __future__ import annotations

import pytest

from memflow.client.topics import TopicPattern
from memflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("my.dog.*", "my.dog.barked", True),
        ("my.dog.*", "my.dog", False),
        ("my.dog.*", "my.dog.barked.twice", False),
        ("my.*.barked", "my.dog.barked", True),
        ("my.*.barked", "my.dog.cat.barked", False),
        ("my.**", "my.dog", True),
        ("my.**", "my.dog.barked.twice", True),
        ("my.**", "my", False),
        ("**", "anything", True),
        ("*", "any.thing", False),
        ("my.dog", "my.dog", True),
        ("my.dog", "myxdog", False),
        ("my.dog", "my.dog.x", False),
        ("a+b.*", "a+b.c", True),
        ("a+b.*", "aab.c", False),
        ("my.*", "my.line\nbreak", True),
    ],
)
def test_matches_whole_segments(pattern: str, topic: str, matches: bool) -> None:
    assert TopicPattern(pattern).matches(topic) is matches


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("", "empty"), ("my..dog", "segment 2"), ("my.", "segment 2"), ("**.dog", "at the end"), ("my.d*", "whole")],
)
def test_refuses_a_pattern_that_would_match_by_surprise(pattern: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        TopicPattern(pattern)
