-- When an activity that nobody runs is due: never while it is paused, but a cancelled one must be taken up to be answered.
create or replace function memflow.due_unless_paused(p_paused_due timestamptz, p_cancelled boolean, p_due timestamptz)
returns timestamptz
language sql immutable parallel safe
as $body$
  select case when p_paused_due is not null and not p_cancelled then 'infinity' else p_due end
$body$;

-- End durable activities: each row whose token fits goes, its answer goes into the run's inbox. Rows of runs first, in id
-- order: a commit that takes such a row away holds them too.
create or replace function memflow.settle_activities(
  p_namespace text, p_run bigint[], p_op int[], p_token uuid[], p_kind text[], p_attributes text[], p_encoding text[], p_data bytea[]
) returns boolean[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
declare
  v_done boolean[] := array_fill(false, array[cardinality(p_run)]);
  v_ends int[];
  v_ears text[];
  i int;
begin
  perform memflow.lock_runs(p_run);
  if p_kind && array['activity_failed', 'activity_timed_out'] then
    -- Reset meanwhile: this attempt was not the last one after all.
    with anew as (
      update memflow.activities a
         set owner = null, token = null, attempt = 0, reset = false, attempt_by = null,
             due = memflow.due_unless_paused(a.paused_due, a.cancel_requested, memflow.now()),
             last_failure = null, last_failure_encoding = null
        from unnest(p_run, p_op, p_token, p_kind) with ordinality u(run, op, token, kind, ord)
       where a.run = u.run and a.op = u.op and a.token = u.token and a.reset
         and u.kind in ('activity_failed', 'activity_timed_out')
      returning u.ord, a.queue
    )
    select array_agg(w.ord::int), array_agg(distinct 'activities:' || w.queue) into v_ends, v_ears from anew w;
    if v_ends is not null then
      foreach i in array v_ends loop
        v_done[i] := true;
      end loop;
      perform memflow.ring(p_namespace, v_ears);
    end if;
  end if;
  with gone as (
    delete from memflow.activities a
     using unnest(p_run, p_op, p_token) with ordinality u(run, op, token, ord)
     where a.run = u.run and a.op = u.op and a.token = u.token
    returning u.ord
  )
  select array_agg(g.ord::int order by g.ord) into v_ends from gone g;
  if v_ends is not null then
    foreach i in array v_ends loop
      v_done[i] := true;
    end loop;
    perform memflow.ring(p_namespace, (
      select memflow.deliver(
               array_agg(p_run[e.i] order by e.i), array_agg(p_kind[e.i] order by e.i), array_agg(p_op[e.i] order by e.i),
               array_agg(p_attributes[e.i] order by e.i), array_agg(p_encoding[e.i] order by e.i),
               array_agg(p_data[e.i] order by e.i), array_agg(null::text))
        from unnest(v_ends) e(i)
        join memflow.runs r on r.id = p_run[e.i] and r.status in ('running', 'paused')));
  end if;
  return v_done;
end
$body$;

-- Put failed attempts back for another try, where the token fits. One that did not begin is not counted.
create or replace function memflow.retry_activities(
  p_namespace text, p_run bigint[], p_op int[], p_token uuid[], p_delay interval[], p_failure bytea[], p_failure_encoding text[],
  p_counts boolean[]
) returns boolean[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
declare
  v_done boolean[] := array_fill(false, array[cardinality(p_run)]);
  v_back int[];
  v_ears text[];
  i int;
begin
  -- Rows are locked in key order first: a heartbeat batch of the same worker may hold some of them.
  perform 1
     from memflow.activities a
    where (a.run, a.op) in (select u.run, u.op from unnest(p_run, p_op) u(run, op))
    order by a.run, a.op
      for no key update;
  with back as (
    update memflow.activities a
       set owner = null, token = null, attempt_by = null, reset = false,
           due = memflow.due_unless_paused(a.paused_due, a.cancel_requested,
                                           memflow.now() + case when a.reset then interval '0' else u.delay end),
           paused_due = case when a.paused_due is not null then memflow.now() + u.delay end,
           attempt = case when a.reset then 0 else a.attempt - (not u.counts)::int end,
           last_failure = coalesce(u.failure, a.last_failure),
           last_failure_encoding = case when u.failure is null then a.last_failure_encoding else u.encoding end
      from unnest(p_run, p_op, p_token, p_delay, p_failure, p_failure_encoding, p_counts)
           with ordinality u(run, op, token, delay, failure, encoding, counts, ord)
     where a.run = u.run and a.op = u.op and a.token = u.token
    returning u.ord, a.queue, u.delay
  )
  select array_agg(b.ord::int),
         array_agg(distinct 'activities:' || b.queue) filter (where b.delay <= interval '2 seconds')
    into v_back, v_ears
    from back b;
  if v_back is not null then
    foreach i in array v_back loop
      v_done[i] := true;
    end loop;
    perform memflow.ring(p_namespace, v_ears);
  end if;
  return v_done;
end
$body$;

-- Heartbeats: keep the details where there are new ones, and tell who has lost its row and who is asked to stop.
create or replace function memflow.beat_activities(
  p_run bigint[], p_op int[], p_token uuid[], p_details bytea[], p_details_encoding text[]
) returns table (lost boolean, cancel_requested boolean, paused boolean, reset boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
begin
  perform 1
     from memflow.activities a
    where (a.run, a.op) in (
            select u.run, u.op from unnest(p_run, p_op, p_details) u(run, op, details) where u.details is not null)
    order by a.run, a.op
      for no key update;
  update memflow.activities a
     set heartbeat = u.details, heartbeat_encoding = u.encoding
    from unnest(p_run, p_op, p_token, p_details, p_details_encoding) u(run, op, token, details, encoding)
   where u.details is not null and a.run = u.run and a.op = u.op and a.token = u.token;
  return query
  select a.run is null, coalesce(a.cancel_requested, false), a.paused_due is not null, coalesce(a.reset, false)
    from unnest(p_run, p_op, p_token) with ordinality u(run, op, token, ord)
    left join memflow.activities a on a.run = u.run and a.op = u.op and a.token = u.token
   order by u.ord;
end
$body$;
