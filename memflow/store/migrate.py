"""Installs and upgrades the schema: numbered migrations of the tables, then the functions and views as a whole.

One installer at a time, under an advisory lock that ends with its transaction, so that any number of clients may start
together. Functions are replaced when a newer library, or another build of the same one, comes along; an older one leaves
them as they are.
"""

from __future__ import annotations

import logging
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import asyncpg

from memflow.errors import DatabaseError, SchemaError
from memflow.store.database import Database
from memflow.store.sql import digest

log = logging.getLogger(__name__)

OLDEST_SERVER = 14


async def migrate(database: Database) -> None:
    """Bring the schema up to this library's version, installing it where it is missing.

    Raises:
        SchemaError: the schema is newer than this library, or the role may not create what is missing.
        DatabaseError: the database cannot be used (not UTF8, too old), or cannot be reached.
    """
    found = await _installed(database)
    if found is not None and not _behind(database, *found):
        return

    async def install(conn: Any) -> None:
        # No limit: the lock may be held by another installer, and a migration of large tables takes its time.
        await conn.execute(database.sql["migration_lock"], timeout=None)
        await _install(database, conn)

    try:
        await database.in_transaction(install, doing="installing the schema")
    except DatabaseError as error:
        if not isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError):
            raise
        raise SchemaError(
            f"this role may not install the schema {database.sql.schema!r} ({error.__cause__.args[0]});"
            " run `memflow db migrate` once as its owner, then connect with migrate=False"
        ) from error.__cause__


async def check(database: Database) -> None:
    """Make sure that the schema is there and not older than this library; changes nothing.

    Raises:
        SchemaError: it is missing, older or newer.
    """
    found = await _installed(database)
    if found is None:
        raise SchemaError(
            f"the schema {database.sql.schema!r} does not exist; run `memflow db migrate`, or connect with migrate=True"
        )
    if found[0] < _newest(database):
        raise SchemaError(
            f"the schema {database.sql.schema!r} has version {found[0]}, this library needs {_newest(database)};"
            " run `memflow db migrate`, or connect with migrate=True"
        )


async def _installed(database: Database) -> tuple[int, str, str] | None:
    server = await database.row("server", database.sql.schema)
    assert server is not None, "the statement always gives one row"
    if server["encoding"] != "UTF8":
        raise DatabaseError(
            f"the database has the encoding {server['encoding']}; memflow needs UTF8 (create database ... encoding 'UTF8')"
        )
    if server["version"] < OLDEST_SERVER * 10_000:
        raise DatabaseError(
            f"PostgreSQL {server['version'] // 10_000} is too old; memflow needs {OLDEST_SERVER} or newer"
        )
    if server["synchronous_commit"] == "off":
        log.warning("synchronous_commit is off: what Postgres acknowledged may be lost when it crashes")
    if not server["has_tables"]:
        return None
    row = await database.row("installed")
    if row is None:
        return None
    found = int(row["version"])
    if found > _newest(database):
        raise SchemaError(
            f"the schema {database.sql.schema!r} has version {found}, newer than this library knows ({_newest(database)});"
            " upgrade memflow"
        )
    return found, str(row["library"]), str(row["digest"])


def _newest(database: Database) -> int:
    return database.sql.migrations()[-1].version


def _behind(database: Database, found: int, library: str, found_digest: str) -> bool:
    """Whether what is installed has to be replaced by ours."""
    if found < _newest(database):
        return True
    return found_digest != digest() and _order(library) <= _order(library_version())


async def _install(database: Database, conn: Any) -> None:
    schema = database.sql.schema
    server = await conn.fetchrow(database.sql["server"], schema)
    row = await conn.fetchrow(database.sql["installed"]) if server["has_tables"] else None
    if not server["has_schema"]:
        await conn.execute(database.sql.create_schema())
    found, library, found_digest = (0, "", "") if row is None else (row["version"], row["library"], row["digest"])
    if row is not None and not _behind(database, found, library, found_digest):
        return                                           # somebody else was faster
    for migration in database.sql.migrations():
        if migration.version > found:
            await conn.execute(migration.text)
            await conn.execute(database.sql["note_migration"], migration.version, migration.name, library, found_digest)
            log.info("migrated", extra={"schema": schema, "migration": migration.name})
    if _order(library) <= _order(library_version()):
        for program in database.sql.programs():
            await conn.execute(program)
        await conn.execute(database.sql["note_functions"], library_version(), digest())


def library_version() -> str:
    """This library's version, as installed."""
    try:
        return version("memflow")
    except PackageNotFoundError:
        return "0"


def _order(text: str) -> tuple[int, ...]:
    """Versions by their numbers; a suffix such as `rc1` counts as its release."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])
