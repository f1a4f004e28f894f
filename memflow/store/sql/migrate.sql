-- name: server :one
-- What decides whether this database can be used, and whether the schema is there. $1 schema
select current_setting('server_encoding') as encoding,
       current_setting('server_version_num')::int as version,
       current_setting('synchronous_commit') as synchronous_commit,
       exists (select 1 from pg_catalog.pg_namespace n where n.nspname = $1::text) as has_schema,
       exists (select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1::text and c.relname = 'migrations') as has_tables;

-- name: installed :one
-- What is installed: the last migration, and the version and digest of the functions.
select version, library, digest from memflow.migrations order by version desc limit 1;

-- name: migration_lock :exec
-- One installer at a time, all clients of all schemas. Number chosen at random.
select pg_advisory_xact_lock(5268342171860274513);

-- name: note_migration :exec
-- $1 version, $2 name, $3 library, $4 digest
insert into memflow.migrations (version, name, library, digest, at)
values ($1::int, $2::text, $3::text, $4::text, clock_timestamp());

-- name: note_functions :exec
-- $1 library, $2 digest
update memflow.migrations
   set library = $1::text, digest = $2::text, at = clock_timestamp()
 where version = (select max(version) from memflow.migrations);
