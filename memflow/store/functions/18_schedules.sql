-- Look at up to p_limit schedules that are due, and at as many that have had a run end, with how those of their runs stand that
-- are not open any more. The first row has no schedule: the time, and, where nothing is found, when the next is due.
--
-- p_hold: for the rest of the transaction they are nobody else's, and those that others hold are left to them. Without, the
-- caller finds out when it serves them whether they are still as it saw them. What is read is read after the lock in a statement
-- of its own: the statement that locks would show what it came for as it was when it began.
create or replace function memflow.look_at_schedules(p_namespace text, p_limit int, p_hold boolean)
returns table (
  id text, plan text, policy text, start text, state text, paused boolean, next_at timestamptz, last_at timestamptz,
  result bytea, result_encoding text, failure bytea, failure_encoding text, created_at timestamptz, updated_at timestamptz,
  version text, now timestamptz, look_at timestamptz, ends bigint[],
  ended_runs text[], ended_status text[], ended_at timestamptz[], ended_result bytea[], ended_encoding text[]
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_now timestamptz := memflow.now();
  v_ids text[];
begin
  if p_hold then
    with due as materialized (
      select s.id
        from memflow.schedules s
       where s.namespace = p_namespace and s.look_at <= v_now
       order by s.look_at, s.id
       limit p_limit
         for no key update skip locked
    ), ended as materialized (
      select s.id
        from memflow.schedules s
       where s.namespace = p_namespace
         and s.id = any(array(select e.schedule from memflow.schedule_ends e where e.namespace = p_namespace limit p_limit))
         for no key update skip locked
    )
    select array_agg(h.id) into v_ids from (select d.id from due d union all select e.id from ended e) h;
  else
    v_ids := array(select s.id
                     from memflow.schedules s
                    where s.namespace = p_namespace and s.look_at <= v_now
                    order by s.look_at, s.id
                    limit p_limit)
             || array(select e.schedule from memflow.schedule_ends e where e.namespace = p_namespace limit p_limit);
  end if;
  now := v_now;
  if coalesce(cardinality(v_ids), 0) = 0 then
    select min(s.look_at) into look_at from memflow.schedules s where s.namespace = p_namespace and s.look_at is not null;
    return next;
    return;
  end if;
  return next;
  return query
  select s.id, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
         s.failure_encoding, s.created_at, s.updated_at, s.xmin::text, v_now, s.look_at,
         array(select e.id from memflow.schedule_ends e where e.namespace = p_namespace and e.schedule = s.id),
         f.runs, f.status, f.closed_at, f.result, f.encoding
    from memflow.schedules s
    left join lateral (
      select array_agg(w.run_id) as runs, array_agg(r.status) as status, array_agg(r.closed_at) as closed_at,
             array_agg(r.result) as result, array_agg(r.result_encoding) as encoding
        from memflow.watched_runs(s.state) w
        -- As a rule it is the latest run of its id, and its chain's last: that much is cheaper than to follow the chain.
        left join memflow.runs r on r.id = coalesce(
          (select o.id
             from memflow.runs o
            where o.namespace = p_namespace and o.workflow_id = w.workflow_id and o.slot = 0 and o.run_id = w.run_id
              and o.next_run_id is null),
          memflow.find_open(p_namespace, w.workflow_id, w.run_id))
       where r.status is null or r.status not in ('running', 'paused')) f on true
   where s.namespace = p_namespace and s.id = any(v_ids)
   order by s.look_at, s.id;
end
$body$;

-- The runs that a schedule keeps an eye on, out of its state; see memflow/firing.py. None where a newer library wrote it otherwise.
create or replace function memflow.watched_runs(p_state text) returns table (workflow_id text, run_id text)
language sql immutable
as $body$
  select a.each ->> 2, a.each ->> 3
    from (select p_state::json -> 'running' as list offset 0) r   -- offset: read once
   cross join lateral json_array_elements(case json_typeof(r.list) when 'array' then r.list end) a(each)
   where json_typeof(a.each) = 'array'
$body$;

-- Do what was decided for schedules that were looked at, all of it or nothing: stop runs, start runs, write the schedules,
-- forget the ends that were seen. p_version says how each row was when it was looked at; `outcome` is
--   served
--   lost     one of them is not so any more, or is in the hands of somebody else: nothing was done
--   taken    the workflow ids in `taken` have had their runs: nothing was done
-- With the time, and when the next schedule is due.
--
-- An instant has one run however often this is called: its row's version is good for one call, and its run's id is taken once.
--
-- p_worker, if it is given and still is one, owns at once what is started here, under a token that the caller made up, as if it had
-- claimed them: a row less to rewrite, and a statement less to wait for. Then `runs` are those, in the order of `p_run_id`, with
-- their deadlines. If the answer was lost, claim_runs with p_again finds them by the token.
create or replace function memflow.serve_schedules(
  p_namespace text,
  p_id text[], p_version text[], p_state text[], p_paused boolean[], p_next_at timestamptz[], p_last_at timestamptz[],
  p_look_at timestamptz[], p_result bytea[], p_result_encoding text[], p_failure bytea[], p_failure_encoding text[],
  p_ends bigint[],
  p_terminate text[], p_terminate_attributes text, p_terminated bytea, p_terminated_children bytea,
  p_cancel text[], p_cancel_attributes text,
  p_worker bigint, p_token uuid,
  p_workflow_id text[], p_run_id text[], p_workflow text[], p_queue text[], p_input bytea[], p_input_encoding text[],
  p_run_timeout interval[], p_execution_timeout interval[], p_headers text[],
  p_memo bytea[], p_memo_encoding text[], p_search bytea[], p_search_encoding text[], p_expire interval[], p_priority int[],
  p_retry text[], p_task_timeout interval[], p_schedule text[], p_scheduled_at timestamptz[],
  out outcome text, out taken text[], out now timestamptz, out look_at timestamptz,
  out runs bigint[], out deadlines timestamptz[], out execution_deadlines timestamptz[]
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_held int;
  v_made int;
  v_ears text[];
  i int;
begin
  now := memflow.now();
  -- Who holds a schedule's row may want rows of runs, never the other way round.
  perform 1
     from unnest(p_id, p_version) u(id, version)
     join memflow.schedules s on s.namespace = p_namespace and s.id = u.id
    where s.xmin::text = u.version
      for no key update of s skip locked;
  get diagnostics v_held = row_count;
  if v_held < cardinality(p_id) then
    outcome := 'lost';
    select min(s.look_at) into look_at from memflow.schedules s where s.namespace = p_namespace and s.look_at is not null;
    return;
  end if;

  -- Of several some may have had theirs. Of one the insert tells, before anything else is done.
  if cardinality(p_workflow_id) > 1 then
    select array_agg(u.workflow_id) into taken
      from unnest(p_workflow_id) u(workflow_id)
     cross join lateral (
        select 1
          from memflow.runs r
         where r.namespace = p_namespace and r.workflow_id = u.workflow_id and r.slot = 0
         limit 1) r;
    if taken is not null then
      outcome := 'taken';
      return;
    end if;
  end if;

  if p_workflow_id is not null then
    -- As start_runs does for those that meet nobody, which are all of these. In the order of their keys, as there. `me` as in
    -- take_runs: who was taken for dead may hold nothing, and what was asked about in vain must not come late.
    with me as materialized (
      select k.id from memflow.workers k where k.id = p_worker and k.void_token is distinct from p_token for share
    ), made as (
      insert into memflow.runs (
        namespace, workflow_id, run_id, first_run_id, workflow, task_queue, started_at, last_at, deadline, deadline_kind, priority,
        input, input_encoding, memo, memo_encoding, search, search_encoding, headers, expire, run_timeout, execution_deadline, retry,
        task_timeout, schedule, scheduled_at)
      select p_namespace, u.workflow_id, u.run_id, u.run_id, u.workflow, u.queue, now, now,
             now + least(u.run_timeout, u.execution_timeout),
             case when least(u.run_timeout, u.execution_timeout) = u.run_timeout then 'run'
                  when u.execution_timeout is not null then 'execution' end,
             u.priority, u.input, u.input_encoding, u.memo, u.memo_encoding, u.search, u.search_encoding, u.headers, u.expire,
             u.run_timeout, now + u.execution_timeout, u.retry, u.task_timeout, u.schedule, u.scheduled_at
        from unnest(p_workflow_id, p_run_id, p_workflow, p_queue, p_input, p_input_encoding, p_run_timeout, p_execution_timeout,
                    p_headers, p_memo, p_memo_encoding, p_search, p_search_encoding, p_expire, p_priority, p_retry, p_task_timeout,
                    p_schedule, p_scheduled_at)
             u(workflow_id, run_id, workflow, queue, input, input_encoding, run_timeout, execution_timeout, headers, memo,
               memo_encoding, search, search_encoding, expire, priority, retry, task_timeout, schedule, scheduled_at)
       order by u.workflow_id
          on conflict do nothing
      returning id, run_id, task_queue, priority, search, search_encoding, deadline, execution_deadline,
                (select me.id from me) as owner
    ), due as (
      insert into memflow.wakes (run, namespace, queue, priority, wake_at, owner, token)
      select m.id, p_namespace, m.task_queue, m.priority, case when m.owner is null then now end, m.owner,
             case when m.owner is not null then p_token end
        from made m
    )
    select count(*), array_agg(m.id order by m.n) filter (where m.owner is not null), array_agg(m.deadline order by m.n),
           array_agg(m.execution_deadline order by m.n), array_agg('queue:' || m.task_queue) filter (where m.owner is null)
      into v_made, runs, deadlines, execution_deadlines, v_ears
      from (select m.*, array_position(p_run_id, m.run_id) as n from made m) m;
    if v_made < cardinality(p_workflow_id) then
      if cardinality(p_workflow_id) = 1 then
        outcome := 'taken';
        taken := p_workflow_id;
        return;
      end if;
      raise exception 'somebody took the id of a scheduled run this very moment' using errcode = '40001';
    end if;
    if p_search is not null then
      insert into memflow.records (run, namespace, doc)
      select r.id, p_namespace, memflow.fields_of(r.search, r.search_encoding)
        from unnest(p_workflow_id) u(workflow_id)
        join memflow.runs r on r.namespace = p_namespace and r.workflow_id = u.workflow_id and r.slot = 0
       where memflow.fields_of(r.search, r.search_encoding) is not null;
    end if;
    perform memflow.ring(p_namespace, v_ears);
  end if;

  for i in 1 .. coalesce(cardinality(p_terminate), 0) loop
    perform memflow.terminate_run(p_namespace, p_terminate[i], null, p_terminate_attributes, p_terminated, p_terminated_children,
                                  'failure');
  end loop;
  if p_cancel is not null then
    perform memflow.send(p_namespace, p_cancel, null, array_fill('cancel_requested'::text, array[cardinality(p_cancel)]), null,
                         array_fill(p_cancel_attributes, array[cardinality(p_cancel)]), null, null, null);
  end if;

  with moved as (
    update memflow.schedules s
       set state = u.state, paused = u.paused, next_at = u.next_at, last_at = u.last_at, look_at = u.look_at,
           result = u.result, result_encoding = u.result_encoding, failure = u.failure, failure_encoding = u.failure_encoding
      from unnest(p_id, p_state, p_paused, p_next_at, p_last_at, p_look_at, p_result, p_result_encoding, p_failure, p_failure_encoding)
           u(id, state, paused, next_at, last_at, look_at, result, result_encoding, failure, failure_encoding)
     where s.namespace = p_namespace and s.id = u.id
  ), gone as (
    delete from memflow.schedule_ends e where e.id = any(p_ends)
  )
  select least(min(s.look_at), (select min(u.at) from unnest(p_look_at) u(at))) into look_at
    from memflow.schedules s
   where s.namespace = p_namespace and s.look_at is not null and s.id <> all(p_id);
  outcome := 'served';
end
$body$;
