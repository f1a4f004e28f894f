-- What plain SQL may read: documented, stable. Payloads are JSON where they are JSON.
create or replace view memflow.v_runs as
select r.namespace, r.workflow_id, r.run_id, r.workflow as type, r.task_queue, r.status, r.detail, r.waiting_at,
       r.started_at, r.closed_at, r.length, r.arrived, r.consumed, k.identity as owner, w.wake_at, r.version, r.parent_run_id,
       memflow.payload_to_jsonb(r.input, r.input_encoding) as input,
       case when r.status = 'completed' then memflow.payload_to_jsonb(r.result, r.result_encoding) end as result,
       case when r.status <> 'completed' then memflow.payload_to_jsonb(r.result, r.result_encoding) end as failure,
       coalesce(c.doc, '{}') as record
  from memflow.runs r
  left join memflow.wakes w on w.run = r.id
  left join memflow.workers k on k.id = w.owner
  left join memflow.records c on c.run = r.id;

create or replace view memflow.v_journal as
select r.run_id, j.seq, j.turn, j.kind, j.op, j.at, j.token, j.attributes::jsonb as attributes,
       case when j.kind = 'run_started' then memflow.payload_to_jsonb(r.input, r.input_encoding)
            when j.kind in ('complete', 'fail', 'cancelled') then memflow.payload_to_jsonb(r.result, r.result_encoding)
            else memflow.payload_to_jsonb(j.data, j.encoding) end as data
  from memflow.journal j
  join memflow.runs r on r.id = j.run;

create or replace view memflow.v_inbox as
select r.run_id, i.position, i.kind, i.op, i.dedupe, i.attributes::jsonb as attributes,
       memflow.payload_to_jsonb(i.data, i.encoding) as data, i.at
  from memflow.inbox i
  join memflow.runs r on r.id = i.run
 where i.position > r.consumed;

create or replace view memflow.v_activities as
select r.run_id, a.op, a.name, a.queue as task_queue,
       case when a.owner is not null and a.cancel_requested then 'cancelling'
            when a.owner = 0 then 'open'
            when a.owner is not null then 'running'
            when a.paused_due is not null then 'paused'
            when a.attempt > 0 then 'backing_off'
            else 'queued' end as state,
       a.attempt, case when a.owner is null and a.paused_due is null then a.due end as next_attempt_at, k.identity as owner,
       memflow.payload_to_jsonb(a.last_failure, a.last_failure_encoding) as last_failure,
       memflow.payload_to_jsonb(a.heartbeat, a.heartbeat_encoding) as heartbeat_details
  from memflow.activities a
  join memflow.runs r on r.id = a.run
  left join memflow.workers k on k.id = a.owner;

-- Derived from the journal: timers of open runs that have neither fired nor been cancelled.
create or replace view memflow.v_timers as
select r.run_id, j.op, (j.attributes::jsonb ->> 'due')::timestamptz as due
  from memflow.wakes w
  join memflow.runs r on r.id = w.run
  join memflow.journal j on j.run = r.id and j.kind = 'start_timer'
 where not exists (
   select 1 from memflow.journal x
    where x.run = j.run and x.op = j.op and x.seq > j.seq and x.kind in ('timer_fired', 'cancel_timer'));

create or replace view memflow.v_signals as
select s.namespace, s.signal_id, r.run_id, s.op, memflow.payload_to_jsonb(s.data, s.encoding) as payload, s.at, s.expires_at
  from memflow.signals s
  left join memflow.runs r on r.id = s.run;

create or replace view memflow.v_schedules as
select s.namespace, s.id, s.spec, s.zone, s.next_at, s.last_at, s.paused
  from memflow.schedules s;

create or replace view memflow.v_escalations as
select e.namespace, e.id, e.signal_id, e.workflow_id, e.run_id, e.op, e.workflow as workflow_type, e.task_queue, e.role, e.type,
       e.subtype, e.entity, e.description, e.priority, e.metadata, e.status, e.assigned_to, e.assigned_until, e.claimed_at,
       e.created_by, e.created_at, e.updated_at, e.closed_at, e.expires_at,
       e.status = 'pending' and (e.assigned_to is null or coalesce(e.assigned_until <= memflow.now(), false)) as available,
       memflow.payload_to_jsonb(e.payload, e.payload_encoding) as payload
  from memflow.escalations e;
