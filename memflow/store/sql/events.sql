-- name: last_event :one
select coalesce(max(e.id), 0) as id from memflow.events e where e.namespace = $1::text;

-- name: events_after :many
-- $1 namespace, $2 position, $3 limit
select e.id, e.topic, e.data, e.encoding, e.at, e.workflow_id
  from memflow.events e
 where e.namespace = $1::text and e.id > $2::bigint
 order by e.id
 limit $3::int;
