-- name: list_runs :many
-- Runs that match, newest first. The condition takes the place of "true"; see records.py.
-- $1 namespace, $2 the last row of the page before, $3 limit
select r.id, r.namespace, r.workflow_id, r.run_id, r.workflow, r.task_queue, r.status, r.detail, r.waiting_at, r.started_at,
       r.closed_at, r.length, r.arrived, r.consumed, w.owner, w.wake_at, r.parent_workflow_id, r.parent_run_id, r.first_run_id,
       r.next_run_id, r.attempt, r.input, r.input_encoding, r.result, r.result_encoding, c.doc::text as record,
       coalesce(r.memo_now, r.memo) as memo,
       case when r.memo_now is null then r.memo_encoding else r.memo_now_encoding end as memo_encoding,
       r.schedule, r.scheduled_at,
       r.version, r.pinned, r.pause_reason, r.task_timeout, r.origin_kind, r.origin_workflow_id, r.origin_run_id, r.origin_seq,
       r.continued_run_id, coalesce(w.wake_at <= memflow.now(), false) as due,
       r.pinned and not exists (
         select 1 from memflow.workers k
          where k.namespace = r.namespace and k.version = r.version and r.task_queue = any(k.queues)
            and k.seen + k.lease > clock_timestamp()) as unserved
  from memflow.runs r
  left join memflow.wakes w on w.run = r.id
  left join memflow.records c on c.run = r.id
 where r.namespace = $1::text and ($2::bigint is null or r.id < $2::bigint) and true /* where */
 order by r.id desc
 limit $3::int;

-- name: count_runs :one
-- $1 namespace
select count(*)
  from memflow.runs r
  left join memflow.wakes w on w.run = r.id
  left join memflow.records c on c.run = r.id
 where r.namespace = $1::text and true /* where */;
