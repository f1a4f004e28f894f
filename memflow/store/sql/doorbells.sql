-- name: channel :one
-- The NOTIFY channel of an ear. $1 namespace, $2 ear
select memflow.channel($1::text, $2::text) as channel;

-- name: ring :exec
-- $1 channel
select pg_notify($1::text, '');

-- name: now :one
select memflow.now() as now;
