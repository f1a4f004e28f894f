-- Take up to p_limit due runs of these queues for a worker, under a token that the caller made up. If the answer was lost,
-- the same call with p_again finds what it took the first time, takes nothing more, and voids the first should it still come.
--
-- Locks only rows of wakes, and skips those that others hold. Ordered by an index: priorities one after the other, for with
-- a mixed order each claim would sort the whole backlog. A run that prefers another worker is left to it for half a second:
-- it comes within milliseconds if it lives and has time; if it has neither, a rebuilt run costs less than a late one. What was
-- left is due again then, and the caller is told so.
--
-- With p_since it leaves what fell due before, without a look at it: dead entries of the index that an old snapshot keeps.
--
-- A worker of a version takes the runs pinned to it, and the others only while no newer version lives on its queues. One without a
-- version (p_version null) takes what is not pinned.
create or replace function memflow.take_runs(
  p_worker bigint, p_namespace text, p_queues text[], p_limit int, p_token uuid, p_version text, p_again boolean,
  p_since timestamptz,
  out runs bigint[], out crashes int[], out next_due timestamptz
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set enable_sort = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  c_patience constant interval := '0.5 seconds';
  v_now timestamptz := memflow.now();
  v_since timestamptz := coalesce(p_since, '-infinity');
  v_versions text[] := '{""}';
  v_queue text;
  v_version text;
  v_priority smallint;
  v_runs bigint[];
  v_crashes int[];
  v_due timestamptz;
begin
  runs := '{}';
  crashes := '{}';
  if p_again then
    update memflow.workers k set void_token = p_token where k.id = p_worker;
    select coalesce(array_agg(w.run), '{}'), coalesce(array_agg(w.crashes), '{}') into runs, crashes
      from memflow.wakes w
     where w.owner = p_worker and w.token = p_token;
    return;
  end if;
  if p_version is not null then
    v_versions := array[p_version];
    if not exists (
      select 1
        from memflow.workers k
        join memflow.workers me on me.id = p_worker
       where k.namespace = p_namespace and k.queues && p_queues and k.version_since > me.version_since
         and k.seen + k.lease > clock_timestamp())
    then
      v_versions := v_versions || ''::text;
    end if;
  end if;
  foreach v_queue in array p_queues loop
  foreach v_version in array v_versions loop
    select max(w.priority) into v_priority
      from memflow.wakes w
     where w.namespace = p_namespace and w.queue = v_queue and w.version = v_version and w.owner is null and w.wake_at >= v_since;
    while v_priority is not null loop
      if cardinality(runs) < p_limit then
        with due as materialized (
          select w.run
            from memflow.wakes w
           where w.namespace = p_namespace and w.queue = v_queue and w.version = v_version and w.priority = v_priority
             and w.owner is null and w.wake_at <= v_now and w.wake_at >= v_since
             and (w.prefers is null or w.prefers = p_worker or w.wake_at < v_now - c_patience
                  or not exists (select 1 from memflow.workers k where k.id = w.prefers))
           order by w.wake_at
           limit p_limit - cardinality(runs)
             for update skip locked
        ), taken as (
          update memflow.wakes w
             set owner = p_worker, token = p_token, wake_at = null
            from due
           where w.run = due.run
          returning w.run, w.crashes
        )
        select array_agg(t.run), array_agg(t.crashes) into v_runs, v_crashes from taken t;
        if v_runs is not null then
          runs := runs || v_runs;
          crashes := crashes || v_crashes;
        end if;
      end if;
      select min(w.wake_at) into v_due
        from memflow.wakes w
       where w.namespace = p_namespace and w.queue = v_queue and w.version = v_version and w.priority = v_priority
         and w.owner is null and w.wake_at > v_now;
      next_due := least(next_due, v_due);
      if cardinality(runs) < p_limit then
        select min(w.wake_at) + c_patience into v_due
          from memflow.wakes w
         where w.namespace = p_namespace and w.queue = v_queue and w.version = v_version and w.priority = v_priority
           and w.owner is null and w.wake_at <= v_now and w.wake_at >= v_now - c_patience and w.prefers <> p_worker;
        next_due := least(next_due, v_due);
      end if;
      select max(w.priority) into v_priority
        from memflow.wakes w
       where w.namespace = p_namespace and w.queue = v_queue and w.version = v_version and w.owner is null and w.wake_at >= v_since
         and w.priority < v_priority;
    end loop;
  end loop;
  end loop;
  -- Whoever was taken for dead has no row any more and may hold nothing, for nobody would ever free it. And a claim that was
  -- asked about in vain must not come late. Shared, so that the question waits for the answer of a claim under way.
  if cardinality(runs) > 0 then
    perform 1 from memflow.workers k where k.id = p_worker and k.void_token is distinct from p_token for share;
    if not found then
      update memflow.wakes w set owner = null, token = null, wake_at = v_now where w.run = any(runs);
      runs := '{}';
      crashes := '{}';
    end if;
  end if;
end
$body$;

-- The same for durable activities. An attempt counts from its claim, so that one that kills its worker is counted too.
create or replace function memflow.take_activities(
  p_worker bigint, p_namespace text, p_queues text[], p_limit int, p_token uuid, p_again boolean,
  out runs bigint[], out ops int[], out next_due timestamptz
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set enable_sort = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_now timestamptz := memflow.now();
  v_queue text;
  v_runs bigint[];
  v_ops int[];
  v_due timestamptz;
begin
  runs := '{}';
  ops := '{}';
  if p_again then
    update memflow.workers k set void_token = p_token where k.id = p_worker;
    select coalesce(array_agg(a.run), '{}'), coalesce(array_agg(a.op), '{}') into runs, ops
      from memflow.activities a
     where a.owner = p_worker and a.token = p_token;
    return;
  end if;
  foreach v_queue in array p_queues loop
    if cardinality(runs) < p_limit then
      with due as materialized (
        select a.run, a.op
          from memflow.activities a
         where a.namespace = p_namespace and a.queue = v_queue and a.owner is null and a.due <= v_now
         order by a.due
         limit p_limit - cardinality(runs)
           for update skip locked
      ), taken as (
        update memflow.activities a
           set owner = p_worker, token = p_token, attempt = a.attempt + 1, attempt_by = null
          from due
         where a.run = due.run and a.op = due.op
        returning a.run, a.op
      )
      select array_agg(t.run), array_agg(t.op) into v_runs, v_ops from taken t;
      if v_runs is not null then
        runs := runs || v_runs;
        ops := ops || v_ops;
      end if;
    end if;
    if cardinality(runs) < p_limit then
      -- Attempts to be completed from outside whose time is up: whoever takes one judges it. No attempt begins.
      with late as materialized (
        select a.run, a.op
          from memflow.activities a
         where a.namespace = p_namespace and a.queue = v_queue and a.owner = 0 and a.due <= v_now
         order by a.due
         limit p_limit - cardinality(runs)
           for update skip locked
      ), taken as (
        update memflow.activities a
           set owner = p_worker, token = p_token
          from late
         where a.run = late.run and a.op = late.op
        returning a.run, a.op
      )
      select array_agg(t.run), array_agg(t.op) into v_runs, v_ops from taken t;
      if v_runs is not null then
        runs := runs || v_runs;
        ops := ops || v_ops;
      end if;
    end if;
    select min(a.due) into v_due
      from memflow.activities a
     where a.namespace = p_namespace and a.queue = v_queue and a.owner is null and a.due > v_now and a.due < 'infinity';
    next_due := least(next_due, v_due);
    select min(a.due) into v_due
      from memflow.activities a
     where a.namespace = p_namespace and a.queue = v_queue and a.owner = 0 and a.due > v_now and a.due < 'infinity';
    next_due := least(next_due, v_due);
  end loop;
  if cardinality(runs) > 0 then
    perform 1 from memflow.workers k where k.id = p_worker and k.void_token is distinct from p_token for share;
    if not found then
      update memflow.activities a
         set owner = null, token = null, attempt = a.attempt - (a.attempt_by is null)::int
       where a.owner = p_worker and a.token = p_token;
      runs := '{}';
      ops := '{}';
    end if;
  end if;
end
$body$;

-- take_runs, and what a worker needs to know about each run. Read after the claim in a statement of its own, hence with a
-- snapshot that sees all mail whose mark the claim took away. The first row has no run: the time, and when to come back.
create or replace function memflow.claim_runs(
  p_worker bigint, p_namespace text, p_queues text[], p_limit int, p_token uuid, p_version text, p_again boolean,
  p_since timestamptz default null
) returns table (
  run bigint, crashes int, workflow_id text, run_id text, workflow text, task_queue text, length bigint, arrived bigint, consumed bigint,
  turn int, started_at timestamptz, last_at timestamptz, first_arrivals int, retries int, input bytea, input_encoding text,
  headers text, attempt int, first_run_id text, parent_workflow_id text, parent_run_id text, deadline timestamptz,
  deadline_kind text, memo bytea, memo_encoding text, search bytea, search_encoding text, retry text,
  execution_deadline timestamptz, continued_run_id text,
  version text, pinned boolean, task_timeout interval, ending boolean, origins text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_taken record;
begin
  v_taken := memflow.take_runs(p_worker, p_namespace, p_queues, p_limit, p_token, p_version, p_again, p_since);
  started_at := memflow.now();
  last_at := v_taken.next_due;
  return next;
  if cardinality(v_taken.runs) > 0 then
    return query
    select r.id, t.crashes, r.workflow_id, r.run_id, r.workflow, r.task_queue, r.length, r.arrived, r.consumed,
           r.turn, r.started_at, r.last_at, r.first_arrivals, r.retries,
           case when r.length = 0 then r.input end, r.input_encoding,
           r.headers, r.attempt, r.first_run_id, r.parent_workflow_id, r.parent_run_id, r.deadline,
           r.deadline_kind, r.memo, r.memo_encoding, r.search, r.search_encoding, r.retry, r.execution_deadline, r.continued_run_id,
           r.version, r.pinned, r.task_timeout, r.ending_until is not null, r.origins
      from unnest(v_taken.runs, v_taken.crashes) t(run, crashes)
      join memflow.runs r on r.id = t.run;
  end if;
end
$body$;

-- take_activities, and what a worker needs to know about each. The first row has no run, as above.
create or replace function memflow.claim_activities(
  p_worker bigint, p_namespace text, p_queues text[], p_limit int, p_token uuid, p_again boolean
) returns table (
  run bigint, op int, workflow_id text, run_id text, workflow text, name text, task_queue text, input bytea, input_encoding text,
  options text, headers text, attempt int, scheduled_at timestamptz, close_by timestamptz, last_failure bytea,
  last_failure_encoding text, heartbeat bytea, heartbeat_encoding text, cancel_requested boolean, late text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_taken record;
begin
  v_taken := memflow.take_activities(p_worker, p_namespace, p_queues, p_limit, p_token, p_again);
  scheduled_at := memflow.now();
  close_by := v_taken.next_due;
  return next;
  if cardinality(v_taken.runs) > 0 then
    return query
    select a.run, a.op, r.workflow_id, r.run_id, r.workflow, a.name, a.queue, a.input, a.input_encoding,
           a.options, a.headers, a.attempt, a.scheduled_at, a.close_by, a.last_failure,
           a.last_failure_encoding, a.heartbeat, a.heartbeat_encoding, a.cancel_requested,
           case when a.attempt_by <= memflow.now() then 'start_to_close' when a.attempt_by is not null then 'heartbeat' end
      from unnest(v_taken.runs, v_taken.ops) t(run, op)
      join memflow.activities a on a.run = t.run and a.op = t.op
      join memflow.runs r on r.id = a.run;
  end if;
end
$body$;
