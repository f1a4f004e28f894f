"""Topics and the patterns that subscribe to them."""

from __future__ import annotations

import re

from memflow.errors import ConfigurationError


class TopicPattern:
    """Dotted text in which `*` stands for one whole segment, and `**` at the end for one or more.

    `my.dog.*` matches `my.dog.barked`, but neither `my.dog` nor `my.dog.barked.twice`; `my.dog.**` matches both of the last two's
    kind, one segment or several. `**` alone matches every topic.

    Raises:
        ConfigurationError: an empty segment, `**` before the end, or a star inside a segment.
    """

    def __init__(self, pattern: str) -> None:
        segments = pattern.split(".")
        parts: list[str] = []
        for index, segment in enumerate(segments):
            last = index == len(segments) - 1
            if segment == "*":
                parts.append(r"[^.]+")
            elif segment == "**" and last:
                parts.append(r"[^.]+(?:\.[^.]+)*")
            elif not segment:
                raise ConfigurationError(f"event pattern {pattern!r}: segment {index + 1} is empty")
            elif segment == "**":
                raise ConfigurationError(f"event pattern {pattern!r}: `**` stands at the end only")
            elif "*" in segment:
                raise ConfigurationError(f"event pattern {pattern!r}: `*` stands for a whole segment, as in `my.*.barked`")
            else:
                parts.append(re.escape(segment))
        self.text = pattern
        self._regex = re.compile(r"\.".join(parts), re.DOTALL)

    def matches(self, topic: str) -> bool:
        """Whether an event of this topic is meant."""
        return self._regex.fullmatch(topic) is not None
