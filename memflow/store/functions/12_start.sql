-- Start many runs. Most meet nobody: they are inserted at once. The others are decided one by one, in the order given, as
-- if each had come alone. Members are known by their run ids, so that a repeat of a start is the same start.
create or replace function memflow.start_runs(
  p_namespace text[], p_workflow_id text[], p_run_id text[], p_workflow text[], p_queue text[],
  p_input bytea[], p_input_encoding text[], p_on_conflict text[], p_reuse text[], p_request_id text[],
  p_delay interval[], p_run_timeout interval[], p_execution_timeout interval[], p_headers text[],
  p_memo bytea[], p_memo_encoding text[], p_search bytea[], p_search_encoding text[], p_expire interval[], p_priority int[],
  p_signal text[], p_signal_encoding text[], p_signal_data bytea[], p_retry text[], p_failure bytea,
  p_task_timeout interval[] default null
) returns table (ord int, run bigint, run_id text, created boolean, conflict text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_known bigint[];
  v_slot boolean[];
  v_made bigint[];
  v_made_ids text[];
  v_left int[];
  v_fresh boolean[];
  i int;
  v_old memflow.runs;
  v_next int := 1;
  v_tries int;
  v_namespace text;
begin
  -- Who is there already? Only an optimisation for the insert below, and the place where locks are taken in id order.
  select array_agg(r.id) into v_known
    from unnest(p_namespace, p_workflow_id) u(namespace, workflow_id)
   cross join lateral (
      select o.id
        from memflow.runs o
       where o.namespace = u.namespace and o.workflow_id = u.workflow_id and o.slot = 0
       limit 1) r;
  if v_known is not null then
    perform memflow.lock_runs(case when 'terminate_existing' = any(p_on_conflict) then memflow.family(v_known) else v_known end);
  end if;

  -- In the order of their keys: two batches with the same ids must not wait for one another.
  with made as (
    insert into memflow.runs (
      namespace, workflow_id, run_id, first_run_id, request_id, workflow, task_queue, started_at, last_at, deadline, deadline_kind,
      priority, first_arrivals, arrived, input, input_encoding, memo, memo_encoding, search, search_encoding, headers, expire,
      run_timeout, execution_deadline, retry, task_timeout)
    select u.namespace, u.workflow_id, u.run_id, u.run_id, u.request_id, u.workflow, u.queue, memflow.now(),
           memflow.now() + coalesce(u.delay, '0'),
           memflow.now() + coalesce(u.delay, '0') + least(u.run_timeout, u.execution_timeout),
           case when least(u.run_timeout, u.execution_timeout) = u.run_timeout then 'run' when u.execution_timeout is not null then 'execution' end,
           u.priority, (u.signal is not null)::int, (u.signal is not null)::int, u.input, u.input_encoding,
           u.memo, u.memo_encoding, u.search, u.search_encoding, u.headers, u.expire,
           u.run_timeout, memflow.now() + coalesce(u.delay, '0') + u.execution_timeout, u.retry, u.task_timeout
      from unnest(p_namespace, p_workflow_id, p_run_id, p_workflow, p_queue, p_input, p_input_encoding, p_request_id, p_delay,
                  p_run_timeout, p_execution_timeout, p_headers, p_memo, p_memo_encoding, p_search, p_search_encoding,
                  p_expire, p_priority, p_signal, p_retry, p_task_timeout) with ordinality
           u(namespace, workflow_id, run_id, workflow, queue, input, input_encoding, request_id, delay,
             run_timeout, execution_timeout, headers, memo, memo_encoding, search, search_encoding, expire, priority, signal,
             retry, task_timeout, ord)
     order by u.namespace, u.workflow_id, u.ord
        on conflict do nothing
    returning id, namespace, run_id, task_queue, priority, last_at
  ), due as (
    insert into memflow.wakes (run, namespace, queue, priority, wake_at)
    select m.id, m.namespace, m.task_queue, m.priority, m.last_at from made m
    returning run
  )
  select array_agg(m.id order by m.run_id), array_agg(m.run_id order by m.run_id) into v_made, v_made_ids from made m;

  -- Both lists in the order of run ids: a merge without a join. As a rule all are new and bring nothing else, which a query tells
  -- at a third of what a loop takes.
  v_fresh := array_fill(false, array[cardinality(p_run_id)]);
  if cardinality(v_made) = cardinality(p_run_id) and p_signal is null and p_search is null then
    v_fresh := array_fill(true, array[cardinality(p_run_id)]);
    return query
      select x.i::int, v_made[x.n::int], x.id, true, null::text
        from (select u.i, u.id, row_number() over (order by u.id collate "C") as n from unnest(p_run_id) with ordinality u(id, i)) x;
  else
    for i in select x.i::int from unnest(p_run_id) with ordinality x(id, i) order by x.id collate "C", x.i loop
      if v_next <= cardinality(v_made_ids) and v_made_ids[v_next] = p_run_id[i] then
        v_fresh[i] := true;
        ord := i; run := v_made[v_next]; run_id := p_run_id[i]; created := true; conflict := null;
        return next;
        v_next := v_next + 1;
        if p_signal[i] is not null or p_search[i] is not null then
          perform memflow.start_extras(run, p_namespace[i], p_signal[i], p_signal_encoding[i], p_signal_data[i], p_search[i], p_search_encoding[i]);
        end if;
      end if;
    end loop;
  end if;

  if v_made is null or cardinality(v_made) < cardinality(p_run_id) then
    for i in 1 .. cardinality(p_run_id) loop
      continue when v_fresh[i];
      ord := i;
      v_tries := 0;
      loop
        v_tries := v_tries + 1;
        if v_tries > 20 then
          raise exception 'workflow id % changes hands too fast', p_workflow_id[i] using errcode = '40001';
        end if;
        run := null; run_id := p_run_id[i]; created := false; conflict := null;
        -- The same start again, by run id or request id?
        select r.id, r.run_id, r.run_id = p_run_id[i] into run, run_id, created
          from memflow.runs r
         where r.namespace = p_namespace[i] and r.request_id = p_request_id[i];
        if run is null then
          select r.id, r.run_id, true into run, run_id, created
            from memflow.runs r
           where r.namespace = p_namespace[i] and r.workflow_id = p_workflow_id[i] and r.run_id = p_run_id[i];
        end if;
        exit when run is not null;
        select * into v_old
          from memflow.runs r
         where r.namespace = p_namespace[i] and r.workflow_id = p_workflow_id[i] and r.slot = 0
           for no key update;
        if v_old.id is not null then
          if v_old.status in ('running', 'paused') then
            if p_on_conflict[i] = 'use_existing' then
              run := v_old.id; run_id := v_old.run_id; created := false;
              if p_signal[i] is not null then
                perform memflow.start_signals(v_old.id, v_old.first_run_id, p_namespace[i], p_run_id[i], p_signal[i], p_signal_encoding[i], p_signal_data[i]);
              end if;
              exit;
            elsif p_on_conflict[i] <> 'terminate_existing' then
              run := v_old.id; run_id := v_old.run_id; created := false; conflict := 'a run with this id is open';
              exit;
            end if;
            perform memflow.lock_runs(memflow.family(array[v_old.id]));
            perform memflow.ring(p_namespace[i], memflow.end_runs(array[v_old.id], '{"reason":"replaced by a new start"}', p_failure)
                                                 || memflow.closed(array[v_old.id], p_failure));
          elsif p_reuse[i] = 'reject' or (p_reuse[i] = 'failed_only' and v_old.status in ('completed', 'continued_as_new')) then
            run := v_old.id; run_id := v_old.run_id; created := false;
            conflict := 'a run with this id has ended (' || v_old.status || ') and reuse is ' || p_reuse[i];
            exit;
          end if;
          update memflow.runs r set slot = r.id where r.id = v_old.id;
        end if;
        with made as (
          insert into memflow.runs (
            namespace, workflow_id, run_id, first_run_id, request_id, workflow, task_queue, started_at, last_at, deadline,
            deadline_kind, priority, first_arrivals, arrived, input, input_encoding, memo, memo_encoding,
            search, search_encoding, headers, expire, run_timeout, execution_deadline, retry, task_timeout)
          values (
            p_namespace[i], p_workflow_id[i], p_run_id[i], p_run_id[i], p_request_id[i], p_workflow[i], p_queue[i], memflow.now(),
            memflow.now() + coalesce(p_delay[i], '0'),
            memflow.now() + coalesce(p_delay[i], '0') + least(p_run_timeout[i], p_execution_timeout[i]),
            case when least(p_run_timeout[i], p_execution_timeout[i]) = p_run_timeout[i] then 'run'
                 when p_execution_timeout[i] is not null then 'execution' end,
            p_priority[i], (p_signal[i] is not null)::int, (p_signal[i] is not null)::int, p_input[i], p_input_encoding[i],
            p_memo[i], p_memo_encoding[i], p_search[i], p_search_encoding[i], p_headers[i], p_expire[i],
            p_run_timeout[i], memflow.now() + coalesce(p_delay[i], '0') + p_execution_timeout[i], p_retry[i], p_task_timeout[i])
              on conflict do nothing
          returning id, namespace, run_id, task_queue, priority, last_at
        ), due as (
          insert into memflow.wakes (run, namespace, queue, priority, wake_at)
          select m.id, m.namespace, m.task_queue, m.priority, m.last_at from made m
        )
        select m.id into run from made m;
        if run is not null then
          run_id := p_run_id[i];
          created := true;
          v_fresh[i] := true;
          if p_signal[i] is not null or p_search[i] is not null then
            perform memflow.start_extras(run, p_namespace[i], p_signal[i], p_signal_encoding[i], p_signal_data[i], p_search[i], p_search_encoding[i]);
          end if;
          exit;
        end if;
        -- Somebody else took the id, or used the request id, meanwhile: look again.
      end loop;
      return next;
    end loop;
  end if;

  for v_namespace in select distinct u.n from unnest(p_namespace) u(n) loop
    perform memflow.ring(v_namespace, (
      select array_agg(distinct 'queue:' || u.queue)
        from unnest(p_namespace, p_queue, p_delay, v_fresh) u(namespace, queue, delay, fresh)
       where u.fresh and u.namespace = v_namespace and coalesce(u.delay, '0') <= '2 seconds'));
  end loop;
end
$body$;

-- What a new run brings besides its row: a signal for its first turn, and its first searchable fields.
create or replace function memflow.start_extras(
  p_run bigint, p_namespace text, p_signal text, p_signal_encoding text, p_signal_data bytea, p_search bytea, p_search_encoding text
) returns void
language plpgsql
as $body$
begin
  if p_signal is not null then
    insert into memflow.inbox (run, position, at, kind, attributes, encoding, data)
    values (p_run, 1, memflow.now(), 'signal_received', jsonb_build_object('name', p_signal)::text, p_signal_encoding, p_signal_data);
  end if;
  if memflow.fields_of(p_search, p_search_encoding) is not null then
    insert into memflow.records (run, namespace, doc)
    values (p_run, p_namespace, memflow.fields_of(p_search, p_search_encoding));
  end if;
end
$body$;

-- The signal of a start that met an open run it may use. The start's run id keeps a repeat from counting twice.
create or replace function memflow.start_signals(
  p_run bigint, p_chain text, p_namespace text, p_request_id text, p_signal text, p_encoding text, p_data bytea
) returns void
language plpgsql
as $body$
begin
  insert into memflow.requests (namespace, scope, request_id, at, run_chain)
  values (p_namespace, p_chain, p_request_id, memflow.now(), true)
      on conflict do nothing;
  if found then
    perform memflow.ring(p_namespace, memflow.deliver(
      array[p_run], array['signal_received'], array[null::int], array[jsonb_build_object('name', p_signal)::text],
      array[p_encoding], array[p_data], array[p_request_id]));
  end if;
end
$body$;
