-- The origins of a run that goes on from one with these: no turn of it is theirs, but payloads may be.
create or replace function memflow.origins_left(p_origins text) returns text
language sql immutable
as $body$
  select jsonb_agg(jsonb_set(o, '{0}', '0'))::text from jsonb_array_elements(p_origins::jsonb) o
$body$;

-- The next runs of chains: begun in the commit that ends the ones before, in their place. Whatever e_attributes does not say is as
-- that run had it. The mail that no code has taken goes along: first what the run had read (carry), then what it had not. What
-- answers an operation of the run that ended goes with it, but for signals: by now they are this workflow's, by their name.
-- Tells which ears to ring.
create or replace function memflow.commit_next(
  p_namespace text, p_run bigint[], p_won boolean[],
  e_member int[], e_what text[], e_name text[], e_run_id text[], e_attributes text[], e_encoding text[], e_data bytea[]
) returns text[]
language plpgsql
as $body$
declare
  v_ears text[] := '{}';
  v_old memflow.runs;
  v_about jsonb;
  v_due timestamptz;
  v_limit interval;
  v_deadline timestamptz;
  v_search bytea;
  v_new bigint;
  v_queue text;
  v_pinned boolean;
  v_mail bigint;
  i int;
begin
  for i in 1 .. cardinality(e_member) loop
    continue when e_what[i] <> 'next' or not p_won[e_member[i]];
    v_about := e_attributes[i]::jsonb;
    update memflow.runs r
       set slot = r.id, next_run_id = e_run_id[i]
     where r.id = p_run[e_member[i]]
    returning * into v_old;
    v_due := memflow.now() + make_interval(secs => (v_about ->> 'delay')::float8);
    v_limit := coalesce(make_interval(secs => (v_about ->> 'run_timeout')::float8), v_old.run_timeout);
    v_deadline := least(v_due + v_limit, v_old.execution_deadline);
    v_queue := coalesce(v_about ->> 'task_queue', v_old.task_queue);
    v_pinned := v_old.pinned and v_queue = v_old.task_queue;    -- on another queue there may be no worker of that version
    v_search := decode(v_about ->> 'search', 'base64');
    insert into memflow.runs (
      namespace, workflow_id, run_id, first_run_id, continued_run_id, workflow, task_queue, started_at, last_at, deadline,
      deadline_kind, run_timeout, execution_deadline, retry, attempt, priority, parent, parent_op, parent_policy,
      parent_workflow_id, parent_run_id, input, input_encoding, memo, memo_encoding, search, search_encoding, headers, version, expire,
      schedule, scheduled_at, pinned, task_timeout, origins)
    values (
      p_namespace, v_old.workflow_id, e_run_id[i], v_old.first_run_id, v_old.run_id, coalesce(e_name[i], v_old.workflow), v_queue,
      memflow.now(), v_due, v_deadline, case when v_deadline = v_due + v_limit then 'run' when v_deadline is not null then 'execution' end,
      v_limit, v_old.execution_deadline, coalesce(v_about ->> 'retry', v_old.retry), (v_about ->> 'attempt')::int, v_old.priority,
      v_old.parent, v_old.parent_op, v_old.parent_policy, v_old.parent_workflow_id, v_old.parent_run_id,
      coalesce(e_data[i], v_old.input), case when e_data[i] is null then v_old.input_encoding else e_encoding[i] end,
      decode(v_about ->> 'memo', 'base64'), v_about ->> 'memo_encoding', v_search, v_about ->> 'search_encoding', coalesce(v_about ->> 'headers', v_old.headers),
      case when v_pinned then v_old.version end, v_old.expire, v_old.schedule, v_old.scheduled_at, v_pinned,
      v_old.task_timeout, memflow.origins_left(v_old.origins))
    returning id into v_new;
    insert into memflow.inbox (run, position, at, kind, attributes, encoding, data, dedupe)
    select v_new, row_number() over (order by x.part, x.n), x.at, x.kind, x.attributes, x.encoding, x.data, x.dedupe
      from (select 1 as part, c.n, memflow.now() as at, c.kind, c.attributes, c.encoding, c.data, null::text as dedupe
              from unnest(e_member, e_what, e_name, e_attributes, e_encoding, e_data)
                   with ordinality c(member, what, kind, attributes, encoding, data, n)
             where c.member = e_member[i] and c.what = 'carry'
            union all
            select 2, m.position, m.at, m.kind, m.attributes, m.encoding, m.data, m.dedupe
              from memflow.inbox m
             where m.run = v_old.id and (m.op is null or m.kind = 'signal_received')) x;
    get diagnostics v_mail = row_count;
    if v_old.has_children then
      -- Hooks that were not read go along, with those who wait for them.
      update memflow.hooks h
         set run = v_new
        from memflow.inbox m
       where h.run = v_old.id and m.run = v_old.id and m.kind = 'hook_received' and h.id = m.attributes::jsonb ->> 'hook_id';
      update memflow.runs r set has_children = true where r.id = v_new and found;
    end if;
    update memflow.runs r set first_arrivals = v_mail, arrived = v_mail where r.id = v_new and v_mail > 0;
    delete from memflow.inbox m where m.run = v_old.id;
    if memflow.fields_of(v_search, v_about ->> 'search_encoding') is not null then
      insert into memflow.records (run, namespace, doc)
      values (v_new, p_namespace, memflow.fields_of(v_search, v_about ->> 'search_encoding'));
    end if;
    insert into memflow.wakes (run, namespace, queue, priority, wake_at, version)
    values (v_new, p_namespace, v_queue, v_old.priority, v_due, case when v_pinned then v_old.version else '' end);
    if v_due <= memflow.now() + interval '2 seconds' then      -- before the next poll of an idle worker
      v_ears := v_ears || ('queue:' || v_queue);
    end if;
  end loop;
  return v_ears;
end
$body$;
