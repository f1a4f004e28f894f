-- The runs whose rows must be locked before these may close: themselves, their parents, the open descendants that a close
-- policy may reach, and who waits for a hook in one of them.
create or replace function memflow.family(p_runs bigint[]) returns bigint[]
language sql stable
as $body$
  with recursive down as (
    select u.run as id from unnest(p_runs) u(run)
    union
    select c.id
      from down d
      join memflow.runs c on c.parent = d.id
     where c.status in ('running', 'paused') and c.parent_policy <> 'abandon'
  )
  select array_agg(distinct x.id)
    from (select d.id from down d
          union all
          select r.parent from memflow.runs r where r.id = any(p_runs) and coalesce(r.parent, 0) > 0
          union all
          select h.caller from memflow.hooks h where h.run in (select d.id from down d)) x
$body$;

-- Lock rows of runs, in id order: whoever locks several does it here, so that no two can wait for one another.
create or replace function memflow.lock_runs(p_runs bigint[]) returns void
language plpgsql
as $body$
begin
  perform 1 from memflow.runs r where r.id = any(p_runs) order by r.id for no key update;
end
$body$;

-- End open runs at once, over the heads of their owners, whose tokens are gone with the wakes. Tells which ears to ring.
-- The caller holds the locks. Parents and children are the business of memflow.closed().
create or replace function memflow.end_runs(
  p_runs bigint[], p_attributes text, p_failure bytea, p_encoding text default 'failure', p_status text default 'terminated'
) returns text[]
language plpgsql
as $body$
declare
  v_ears text[];
begin
  insert into memflow.journal (run, seq, at, turn, kind, attributes)
  select r.id, r.length + 1, greatest(memflow.now(), r.last_at), r.turn + 1, 'run_' || p_status, p_attributes
    from memflow.runs r
   where r.id = any(p_runs);
  update memflow.runs r
     set status = p_status, length = r.length + 1, turn = r.turn + 1, last_at = greatest(memflow.now(), r.last_at),
         closed_at = memflow.now(), expires_at = memflow.now() + r.expire,
         result = p_failure, result_encoding = p_encoding, waiting_at = null, detail = null
   where r.id = any(p_runs);
  with w as (delete from memflow.wakes x where x.run = any(p_runs) returning x.owner),
       a as (delete from memflow.activities x where x.run = any(p_runs) returning x.owner),
       o as (select w.owner from w union all select a.owner from a)
  select array_agg(distinct 'worker:' || o.owner) into v_ears from o where o.owner is not null;
  perform memflow.drop_waits(p_runs);
  delete from memflow.inbox i where i.run = any(p_runs);
  return coalesce(v_ears, '{}') || '{done}' || memflow.tell_schedules(p_runs);
end
$body$;

-- Leave word for the schedules that started these runs, which have ended and are not gone on with. Only an insert: whoever
-- serves a schedule holds its row and may want those of runs, so nobody who holds a run's may want a schedule's.
create or replace function memflow.tell_schedules(p_runs bigint[]) returns text[]
language plpgsql
as $body$
declare
  v_minded boolean;
begin
  with told as (
    select r.namespace, r.schedule, r.id, memflow.minds_ends(s) as minded
      from memflow.runs r
      join memflow.schedules s on s.namespace = r.namespace and s.id = r.schedule
     where r.id = any(p_runs) and r.schedule is not null and r.next_run_id is null
  ), word as (
    insert into memflow.schedule_ends (namespace, schedule, run)
    select t.namespace, t.schedule, t.id from told t
  )
  select bool_or(t.minded) into v_minded from told t;
  return case when v_minded then '{schedules}'::text[] else '{}' end;
end
$body$;

-- Whether the end of a run makes this schedule do something: start one that waits, or pause. Others see it when they are due, or
-- when somebody looks anyway. As json: jsonb would be built first.
create or replace function memflow.minds_ends(s memflow.schedules) returns boolean
language sql immutable
as $body$
  select coalesce((s.policy::json ->> 'pause_on_failure')::boolean or (s.state::json ->> 'wanted') <> '[]', false)
$body$;

-- What a parent learns of a child that did not complete: an error of its own kind, with the child's failure as its cause.
-- Joined as text: a failure may hold escapes that jsonb refuses.
create or replace function memflow.child_failure(r memflow.runs) returns bytea
language sql stable
as $body$
  select convert_to(
    '{"kind":"child","message":'
    || to_json('child workflow ' || r.workflow || ' (' || r.workflow_id || ') '
               || case r.status when 'failed' then 'failed' when 'timed_out' then 'timed out' else 'was ' || r.status end)::text
    || ',"facts":' || json_build_object('workflow', r.workflow, 'workflow_id', r.workflow_id, 'run_id', r.run_id)::text
    || coalesce(',"cause":' || convert_from(case when r.result_encoding = 'failure' then r.result end, 'UTF8'), '') || '}', 'UTF8')
$body$;

-- Whether a parent gets what lies on the child's row as it is: a result, or a failure that is encrypted, which nobody here can
-- put into another.
create or replace function memflow.hands_on(r memflow.runs) returns boolean
language sql stable
as $body$
  select r.status = 'completed' or (r.result is not null and r.result_encoding <> 'failure')
$body$;

-- What the end of these runs means to others, in the same transaction: the parent's answer, and the close policy for
-- open children. Tells which ears to ring. p_failure is what a run terminated on that account failed with.
create or replace function memflow.closed(p_runs bigint[], p_failure bytea) returns text[]
language plpgsql
as $body$
declare
  v_runs bigint[] := p_runs;
  v_ears text[] := '{}';
begin
  while v_runs is not null loop
    v_ears := v_ears || memflow.drop_hooks(v_runs);
    v_ears := v_ears || (
      select memflow.deliver(
               array_agg(c.parent order by c.id),
               array_agg(case c.status when 'completed' then 'child_completed' when 'cancelled' then 'child_cancelled'
                                       else 'child_failed' end order by c.id),
               array_agg(c.parent_op order by c.id),
               array_agg(null::text),
               array_agg(case when memflow.hands_on(c) then c.result_encoding else 'failure' end order by c.id),
               array_agg(case when memflow.hands_on(c) then c.result else memflow.child_failure(c) end order by c.id),
               array_agg(null::text))
        from memflow.runs c
        join memflow.runs p on p.id = c.parent
       where c.id = any(v_runs) and c.next_run_id is null and p.status in ('running', 'paused'));
    v_ears := v_ears || (
      select memflow.deliver(
               array_agg(c.id order by c.id),
               array_agg('cancel_requested'::text),
               array_agg(null::int),
               array_agg('{"reason":"the parent workflow closed"}'::text),
               array_agg(null::text),
               array_agg(null::bytea),
               array_agg(null::text))
        from memflow.runs c
       where c.parent = any(v_runs) and c.status in ('running', 'paused') and c.parent_policy = 'request_cancel');
    select array_agg(c.id)
      into v_runs
      from memflow.runs c
     where c.parent = any(v_runs) and c.status in ('running', 'paused') and c.parent_policy = 'terminate';
    if v_runs is not null then
      v_ears := v_ears || memflow.end_runs(v_runs, '{"reason":"the parent workflow closed"}', p_failure);
    end if;
  end loop;
  return v_ears;
end
$body$;

-- Terminate one run: by workflow id, of the latest run or of the one named. Answers with the outcome and, where it had
-- ended before, its status.
create or replace function memflow.terminate_run(
  p_namespace text, p_workflow_id text, p_run_id text, p_attributes text, p_failure bytea, p_failure_of_children bytea,
  p_encoding text, out outcome text, out status text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_run bigint := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
  v_again bigint;
begin
  if v_run is null then
    outcome := 'not_found';
    return;
  end if;
  loop
    perform memflow.lock_runs(memflow.family(array[v_run]));
    v_again := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
    exit when v_again = v_run;                       -- meanwhile a new run may have taken over the id
    v_run := v_again;
  end loop;
  select r.status into status from memflow.runs r where r.id = v_run;
  if status is null then
    outcome := 'not_found';
  elsif status not in ('running', 'paused') then
    outcome := 'closed';
  else
    perform memflow.ring(p_namespace, memflow.end_runs(array[v_run], p_attributes, p_failure, p_encoding)
                                      || memflow.closed(array[v_run], p_failure_of_children));
    outcome := 'delivered';
    status := 'terminated';
  end if;
end
$body$;
