-- name: claim_activities :many
-- Take due activities; see functions/20_claim.sql. The first row has no run.
-- $1 worker, $2 namespace, $3 queues, $4 limit, $5 token, $6 again
select run, op, workflow_id, run_id, workflow, name, task_queue, input, input_encoding, options, headers, attempt, scheduled_at,
       close_by, last_failure, last_failure_encoding, heartbeat, heartbeat_encoding, cancel_requested, late
  from memflow.claim_activities($1::bigint, $2::text, $3::text[], $4::int, $5::uuid, $6::boolean);

-- name: settle_activities :one
-- $1 namespace, $2 runs, $3 ops, $4 tokens, $5 kinds, $6 attributes, $7 encodings, $8 data
select memflow.settle_activities($1::text, $2::bigint[], $3::int[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[]) as done;

-- name: retry_activities :one
-- $1 namespace, $2 runs, $3 ops, $4 tokens, $5 delays, $6 failures, $7 their encodings, $8 whether the attempt counts
select memflow.retry_activities(
         $1::text, $2::bigint[], $3::int[], $4::uuid[], $5::interval[], $6::bytea[], $7::text[], $8::boolean[]) as done;

-- name: beat_activities :many
-- $1 runs, $2 ops, $3 tokens, $4 details, $5 their encodings
select lost, cancel_requested, paused, reset
  from memflow.beat_activities($1::bigint[], $2::int[], $3::uuid[], $4::bytea[], $5::text[]);

-- name: activity_ops :many
-- Which ops of these runs have a row.
select a.run, a.op from memflow.activities a where a.run = any($1::bigint[]);

-- name: activities_of :many
-- The durable activities of one run, for people.
select a.op, a.name, a.queue as task_queue,
       case when a.owner is not null and a.cancel_requested then 'cancelling'
            when a.owner = 0 then 'open'
            when a.owner is not null then 'running'
            when a.paused_due is not null then 'paused'
            when a.attempt > 0 then 'backing_off'
            else 'queued' end as state,
       a.attempt, case when a.owner is null and a.paused_due is null then a.due end as next_attempt_at, a.owner,
       a.last_failure, a.last_failure_encoding, a.heartbeat, a.heartbeat_encoding,
       coalesce(a.options::jsonb ->> 'activity_id', a.op::text) as activity_id, a.paused_due is not null as paused
  from memflow.activities a
 where a.run = $1::bigint
 order by a.op;

-- name: open_activities :one
-- $1 runs, $2 ops, $3 tokens, $4 when their start_to_close is up
select memflow.open_activities($1::bigint[], $2::int[], $3::uuid[], $4::timestamptz[]) as done;

-- name: find_activity :one
-- By token ($5 run, $6 op, $7 token), or by $2 workflow id, $3 run id and $4 activity id.
select outcome, run, op, token, name, activity_id, options, attempt, scheduled_at, close_by, cancel_requested, paused, reset,
       workflow_id
  from memflow.find_activity($1::text, $2::text, $3::text, $4::text, $5::bigint, $6::int, $7::uuid);

-- name: finish_activity :one
-- $1 namespace, $2 run, $3 op, $4 token, $5 kind, $6 attributes, $7 encoding, $8 data
select memflow.finish_activity($1::text, $2::bigint, $3::int, $4::uuid, $5::text, $6::text, $7::text, $8::bytea) as done;

-- name: beat_activity :one
-- $1 run, $2 op, $3 token, $4 details, $5 their encoding
select lost, cancel_requested, paused, reset from memflow.beat_activity($1::bigint, $2::int, $3::uuid, $4::bytea, $5::text);

-- name: fail_attempt :one
-- $1 namespace, $2 run, $3 op, $4 token, $5 delay, $6 failure, $7 its encoding
select memflow.fail_attempt($1::text, $2::bigint, $3::int, $4::uuid, $5::interval, $6::bytea, $7::text) as done;

-- name: act_on_activity :one
-- $1 namespace, $2 run, $3 op, $4 verb (pause, resume, reset, update), $5 delay, $6 keep paused, $7 forget heartbeats,
-- $8 options, $9 queue
select memflow.act_on_activity(
         $1::text, $2::bigint, $3::int, $4::text, $5::interval, $6::boolean, $7::boolean, $8::text, $9::text) as done;
