-- name: server :one
-- What decides whether this database can be used, and whether the schema is there. $1 schema
select current_setting('server_encoding') as encoding,
       current_setting('server_version_num')::int as version,
       current_setting('synchronous_commit') as synchronous_commit,
       exists (select 1 from pg_catalog.pg_namespace n where n.nspname = $1::text) as has_schema,
       exists (select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1::text and c.relname = 'installed') as has_tables;

-- name: installed :one
-- What is installed: the last migration, and the version and digest of the functions.
select version, library, digest from memflow.installed;

-- name: migration_lock :exec
-- One installer at a time, all clients of all schemas. Number chosen at random.
select pg_advisory_xact_lock(5268342171860274513);

-- name: note_installed :exec
-- $1 version, $2 library, $3 digest
insert into memflow.installed (one, version, library, digest, at) values (true, $1::int, $2::text, $3::text, clock_timestamp())
    on conflict (one) do update
   set version = excluded.version, library = excluded.library, digest = excluded.digest, at = excluded.at;
