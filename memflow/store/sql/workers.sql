-- name: register_worker :one
-- $1 namespace, $2 identity, $3 queues, $4 types, $5 version, $6 lease
select id, lock from memflow.register_worker($1::text, $2::text, $3::text[], $4::text[], $5::text, $6::interval);

-- name: lock_worker :one
-- On the listening connection: hold the lock that says "alive" for as long as the connection lives. False: a connection that
-- Postgres has not noticed to be dead still holds it, or somebody is just trying it.
select pg_try_advisory_lock($1::bigint) as held;

-- name: unlock_worker :exec
select pg_advisory_unlock($1::bigint);

-- name: mark_locked :exec
-- Say whether the lock may be believed. $1 worker, $2 locked
update memflow.workers set locked_at = case when $2::boolean then clock_timestamp() end where id = $1::bigint;

-- name: beat_worker :one
-- Renew a lease; no row: others took this worker for dead. $1 worker, $2 lease
update memflow.workers set seen = clock_timestamp(), lease = $2::interval where id = $1::bigint returning id;

-- name: unregister_worker :one
select memflow.unregister_worker($1::bigint);

-- name: release_silent :one
select memflow.release_silent($1::bigint) as freed;

-- name: prune :one
-- $1 limit, $2 keep events for, $3 keep request ids of signals for
select memflow.prune($1::int, $2::interval, $3::interval) as gone;
