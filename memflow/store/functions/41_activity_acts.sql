-- What happens to activities from outside their worker: completed by somebody else, paused, reset, changed.

-- The functions of these attempts have returned without a result: from now on nobody's worker holds them, and only the token
-- ends them. Where the token no longer fits somebody was faster.
create or replace function memflow.open_activities(
  p_run bigint[], p_op int[], p_token uuid[], p_attempt_by timestamptz[]
) returns boolean[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_done boolean[] := array_fill(false, array[cardinality(p_run)]);
  v_opened int[];
  i int;
begin
  perform 1
     from memflow.activities a
    where (a.run, a.op) in (select u.run, u.op from unnest(p_run, p_op) u(run, op))
    order by a.run, a.op
      for no key update;
  with opened as (
    update memflow.activities a
       set owner = 0, attempt_by = coalesce(u.attempt_by, 'infinity'),
           due = coalesce(least(u.attempt_by, memflow.now() + memflow.seconds_in(a.options, 'heartbeat_timeout')), 'infinity')
      from unnest(p_run, p_op, p_token, p_attempt_by) with ordinality u(run, op, token, attempt_by, ord)
     where a.run = u.run and a.op = u.op and a.token = u.token
    returning u.ord
  )
  select array_agg(o.ord::int) into v_opened from opened o;
  if v_opened is not null then
    foreach i in array v_opened loop
      v_done[i] := true;
    end loop;
  end if;
  return v_done;
end
$body$;

-- A time limit among an activity's options, which are kept in seconds.
create or replace function memflow.seconds_in(p_options text, p_name text) returns interval
language sql immutable
as $body$
  select ((p_options::jsonb ->> p_name)::float8) * interval '1 second'
$body$;

-- One activity, by its token, or by workflow and activity id (an id given by the author wins over a number of the same text).
-- Outcomes: found; maybe (no row, but its run is in a worker's memory or about to be, so that there may be one soon);
-- closed, missing (the run); not_found.
create or replace function memflow.find_activity(
  p_namespace text, p_workflow_id text, p_run_id text, p_activity_id text, p_run bigint, p_op int, p_token uuid
) returns table (
  outcome text, run bigint, op int, token uuid, name text, activity_id text, options text, attempt int, scheduled_at timestamptz,
  close_by timestamptz, cancel_requested boolean, paused boolean, reset boolean, workflow_id text
)
language plpgsql
as $body$
#variable_conflict use_column
declare
  v_run bigint := p_run;
  v_row memflow.activities;
  v_status text;
  v_maybe boolean;
begin
  if v_run is null then
    v_run := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
  end if;
  select r.status, r.workflow_id into v_status, workflow_id from memflow.runs r where r.id = v_run and r.namespace = p_namespace;
  if v_status is null then
    outcome := case when p_run is null then 'missing' else 'not_found' end;
    return next;
    return;
  end if;
  -- Before the row is looked for: a commit may come in between that writes the row and lets go of the run.
  v_maybe := exists (select 1 from memflow.wakes w where w.run = v_run and (w.owner is not null or w.wake_at <= memflow.now()))
             and not exists (select 1 from memflow.journal j
                              where j.run = v_run and j.op = p_op
                                and j.kind in ('activity_completed', 'activity_failed', 'activity_timed_out', 'activity_cancelled'));
  if p_token is not null then
    select a.* into v_row from memflow.activities a where a.run = v_run and a.op = p_op;
    if v_row.run is not null and v_row.token is distinct from p_token then
      outcome := 'not_found';
      return next;
      return;
    end if;
  else
    select a.* into v_row
      from memflow.activities a
     where a.run = v_run and coalesce(a.options::jsonb ->> 'activity_id', a.op::text) = p_activity_id
     order by a.options::jsonb ->> 'activity_id' is null
     limit 1;
  end if;
  if v_row.run is not null then
    outcome := 'found';
    run := v_row.run;
    op := v_row.op;
    token := v_row.token;
    name := v_row.name;
    activity_id := coalesce(v_row.options::jsonb ->> 'activity_id', v_row.op::text);
    options := v_row.options;
    attempt := v_row.attempt;
    scheduled_at := v_row.scheduled_at;
    close_by := v_row.close_by;
    cancel_requested := v_row.cancel_requested;
    paused := v_row.paused_due is not null;
    reset := v_row.reset;
  elsif v_status not in ('running', 'paused') then
    outcome := 'closed';
  elsif v_maybe then
    outcome := 'maybe';
  else
    outcome := 'not_found';
  end if;
  return next;
end
$body$;

-- End one activity from outside: its row goes, the answer goes into its run's inbox, and a worker that runs it is told. With a
-- token it must be that attempt, without one it may be at any. False: it is not there any more.
create or replace function memflow.finish_activity(
  p_namespace text, p_run bigint, p_op int, p_token uuid, p_kind text, p_attributes text, p_encoding text, p_data bytea
) returns boolean
language plpgsql
as $body$
declare
  v_owner bigint;
  v_ears text[];
begin
  perform memflow.lock_runs(array[p_run]);
  delete from memflow.activities a
   where a.run = p_run and a.op = p_op and a.namespace = p_namespace
     and (p_token is null or a.token = p_token)
  returning coalesce(a.owner, 0) into v_owner;
  if not found then
    return false;
  end if;
  select memflow.deliver(array[p_run], array[p_kind], array[p_op], array[p_attributes], array[p_encoding], array[p_data],
                         array[null::text])
    into v_ears
    from memflow.runs r
   where r.id = p_run and r.status in ('running', 'paused');
  if v_owner > 0 then
    v_ears := v_ears || ('worker:' || v_owner);
  end if;
  perform memflow.ring(p_namespace, v_ears);
  return true;
end
$body$;

-- An attempt failed, as somebody outside says, and the policy allows another one. The token is as above.
create or replace function memflow.fail_attempt(
  p_namespace text, p_run bigint, p_op int, p_token uuid, p_delay interval, p_failure bytea, p_failure_encoding text
) returns boolean
language plpgsql
as $body$
declare
  v_owner bigint;
  v_queue text;
begin
  select a.owner, a.queue into v_owner, v_queue
    from memflow.activities a
   where a.run = p_run and a.op = p_op and a.namespace = p_namespace
     and (p_token is null or a.token = p_token)
     for no key update;
  if not found then
    return false;
  end if;
  update memflow.activities a
     set owner = null, token = null, attempt_by = null, reset = false, attempt = case when a.reset then 0 else greatest(a.attempt, 1) end,
         due = memflow.due_unless_paused(a.paused_due, a.cancel_requested,
                                         memflow.now() + case when a.reset then interval '0' else p_delay end),
         paused_due = case when a.paused_due is not null then memflow.now() + p_delay end,
         last_failure = p_failure, last_failure_encoding = p_failure_encoding
   where a.run = p_run and a.op = p_op;
  perform memflow.ring(p_namespace, array['activities:' || v_queue, case when v_owner > 0 then 'worker:' || v_owner end]);
  return true;
end
$body$;

-- A heartbeat from outside: the time of an open attempt starts anew.
create or replace function memflow.beat_activity(p_run bigint, p_op int, p_token uuid, p_details bytea, p_details_encoding text)
returns table (lost boolean, cancel_requested boolean, paused boolean, reset boolean)
language plpgsql
as $body$
#variable_conflict use_column
begin
  update memflow.activities a
     set heartbeat = coalesce(p_details, a.heartbeat),
         heartbeat_encoding = case when p_details is null then a.heartbeat_encoding else p_details_encoding end,
         due = case when a.owner = 0
                    then coalesce(least(a.attempt_by, memflow.now() + memflow.seconds_in(a.options, 'heartbeat_timeout')), 'infinity')
                    else a.due end
   where a.run = p_run and a.op = p_op and a.token = p_token
  returning false, a.cancel_requested, a.paused_due is not null, a.reset into lost, cancel_requested, paused, reset;
  if not found then
    lost := true;
  end if;
  return next;
end
$body$;

-- What an operator does to a pending activity. p_delay: from when on the next attempt may begin, for one that nobody runs.
-- False: its row is gone.
create or replace function memflow.act_on_activity(
  p_namespace text, p_run bigint, p_op int, p_verb text, p_delay interval, p_keep_paused boolean, p_forget boolean,
  p_options text, p_queue text
) returns boolean
language plpgsql
as $body$
declare
  a memflow.activities;
  v_due timestamptz := memflow.now() + coalesce(p_delay, '0');
begin
  select x.* into a from memflow.activities x where x.run = p_run and x.op = p_op and x.namespace = p_namespace for no key update;
  if not found then
    return false;
  end if;
  case p_verb
    when 'pause' then
      if a.paused_due is null then
        a.paused_due := case when a.owner is null then a.due else memflow.now() end;
        a.due := case when a.owner is null then 'infinity' else a.due end;
      end if;
    when 'resume' then
      if a.paused_due is not null then
        a.due := case when a.owner is null then greatest(v_due, a.paused_due) else a.due end;
        a.paused_due := null;
      end if;
    when 'reset' then
      if not coalesce(p_keep_paused, false) and a.paused_due is not null then
        a.paused_due := null;
        a.due := case when a.owner is null then v_due else a.due end;
      end if;
      if a.owner is null then
        a.attempt := 0;
        a.last_failure := null;
        a.last_failure_encoding := null;
        if a.paused_due is null then
          a.due := v_due;
        else
          a.paused_due := v_due;
        end if;
      else
        a.reset := true;
      end if;
      if p_forget then
        a.heartbeat := null;
        a.heartbeat_encoding := null;
      end if;
    when 'update' then
      a.options := p_options;
      a.queue := coalesce(p_queue, a.queue);
  end case;
  update memflow.activities x
     set due = a.due, paused_due = a.paused_due, attempt = a.attempt, reset = a.reset, options = a.options, queue = a.queue,
         heartbeat = a.heartbeat, heartbeat_encoding = a.heartbeat_encoding,
         last_failure = a.last_failure, last_failure_encoding = a.last_failure_encoding
   where x.run = p_run and x.op = p_op;
  perform memflow.ring(p_namespace, array['activities:' || a.queue, case when a.owner > 0 then 'worker:' || a.owner end]);
  return true;
end
$body$;
