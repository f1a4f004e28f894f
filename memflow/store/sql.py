"""The SQL of this folder: every statement lies in a file, has a name and a shape, and is told the name of the schema here.

`-- name: claim_runs :many` begins a statement in `sql/*.sql`. Functions (`functions/`), views and migrations are whole scripts.
The prefix `memflow.` stands for the schema everywhere, so that nothing depends on a search path.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memflow.errors import ConfigurationError

_HERE = Path(__file__).parent
_HEADER = re.compile(r"^-- name: ([a-z_]+) :(one|many|exec)$", re.MULTILINE)
_PREFIX = re.compile(r"\bmemflow\.")
_SCHEMA_NAME = ":schema"

LONGEST_NAME = 63
"""Bytes of a Postgres identifier; a longer one would be cut silently."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement. `shape` says what comes back: `one` row or none, `many` rows, nothing to read (`exec`)."""

    name: str
    shape: str
    doc: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change of the tables. A released one is never edited."""

    version: int
    name: str
    text: str


class Statements:
    """Every statement, for one schema."""

    def __init__(self, schema: str) -> None:
        """Raises ConfigurationError: this cannot be the name of a schema."""
        self.schema = check_schema_name(schema)
        self._texts = {query.name: self.with_schema(query.text) for query in queries()}

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def migrations(self) -> list[Migration]:
        """All migrations, oldest first."""
        return [Migration(each.version, each.name, self.with_schema(each.text)) for each in _migrations()]

    def create_schema(self) -> str:
        """The statement that makes the schema."""
        return f"create schema {quote(self.schema)}"

    def programs(self) -> list[str]:
        """The scripts that define functions and views, in order."""
        return [self.with_schema(text) for text in _programs()]

    def with_schema(self, text: str) -> str:
        """`text` with the schema's real name."""
        prefix = f"{quote(self.schema)}."
        name = "'" + self.schema.replace("'", "''") + "'"
        return _PREFIX.sub(lambda _: prefix, text).replace(_SCHEMA_NAME, name)


def quote(identifier: str) -> str:
    """An identifier, whatever its characters."""
    return '"' + identifier.replace('"', '""') + '"'


def check_schema_name(name: str) -> str:
    """`name` if it can be a schema of ours.

    Raises:
        ConfigurationError: it cannot; the message says why.
    """
    if not name or len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        raise ConfigurationError(f"schema: {name[:80]!r} must have 1 to {LONGEST_NAME} bytes")
    # A line break would end a comment, and the mark would end the body of a function, both with the rest of the name as SQL.
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in name) or "$body$" in name:
        raise ConfigurationError(f"schema: {name!r} holds a character that cannot stand in a name")
    if name.startswith("pg_") or name == "information_schema":
        raise ConfigurationError(f"schema: {name!r} belongs to Postgres")
    if _SCHEMA_NAME in name:
        raise ConfigurationError(f"schema: {name!r} cannot be used; choose one without {_SCHEMA_NAME!r}")
    return name


@cache
def queries() -> tuple[Query, ...]:
    """Every named statement, as it stands in the files."""
    found: list[Query] = []
    for path in sorted(_HERE.glob("sql/*.sql")):
        text = path.read_text(encoding="utf-8")
        headers = list(_HEADER.finditer(text))
        ends = [header.start() for header in headers[1:]] + [len(text)]
        for header, end in zip(headers, ends, strict=True):
            lines = text[header.end() : end].strip().splitlines()
            doc = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
            body = [line for line in lines if not line.startswith("--")]
            found.append(Query(header[1], header[2], " ".join(doc), "\n".join(body).rstrip().rstrip(";")))
    return tuple(found)


@cache
def digest() -> str:
    """A fingerprint of the functions and views, to know whether those installed are these."""
    return hashlib.sha256("\0".join(_programs()).encode()).hexdigest()[:32]


@cache
def _programs() -> tuple[str, ...]:
    paths = [*sorted(_HERE.glob("functions/*.sql")), *sorted(_HERE.glob("views/*.sql"))]
    return tuple(path.read_text(encoding="utf-8") for path in paths)


@cache
def _migrations() -> tuple[Migration, ...]:
    return tuple(
        Migration(int(path.name.split("_", 1)[0]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(_HERE.glob("migrations/*.sql"))
    )
