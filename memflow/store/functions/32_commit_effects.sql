-- The locks that the effects of a commit need: signal ids are locked here, rows of runs are named for the caller.
create or replace function memflow.lock_effects(
  p_namespace text, e_what text[], e_name text[], e_workflow_id text[], e_run_id text[]
) returns bigint[]
language plpgsql
as $body$
declare
  v_ids text[];
  v_given text[];
  v_targets bigint[];
  v_ending bigint[];
begin
  select array_agg(e.name), array_agg(e.name) filter (where e.what = 'signal')
    into v_ids, v_given
    from unnest(e_what, e_name) e(what, name)
   where e.what in ('signal', 'await');
  if v_ids is not null then
    perform memflow.lock_signals(array_fill(p_namespace, array[cardinality(v_ids)]), v_ids);
  end if;
  select array_agg(t.run), array_agg(t.run) filter (where t.what in ('terminate', 'terminate_early'))
    into v_targets, v_ending
    from (select e.what, memflow.find_open(p_namespace, e.workflow_id, e.run_id) as run
            from unnest(e_what, e_workflow_id, e_run_id) e(what, workflow_id, run_id)
           where e.what in ('send', 'send_early', 'cancel', 'cancel_early', 'terminate', 'terminate_early', 'hook', 'hook_early',
                           'answer_hook')) t
   where t.run is not null;
  if v_ending is not null then
    v_targets := v_targets || memflow.family(v_ending);
  end if;
  if v_given is not null then
    v_targets := v_targets || memflow.waiting_runs(p_namespace, v_given);
  end if;
  return v_targets;
end
$body$;

-- Members of a commit that send something to another run which is trying to end. (Signals by id need no such care: each takes a
-- wait away, and a run that ends opens no new one.)
create or replace function memflow.busy_senders(
  p_namespace text, p_run bigint[], e_member int[], e_what text[], e_workflow_id text[], e_run_id text[]
) returns int[]
language sql stable
as $body$
  select coalesce(array_agg(distinct e.member), '{}')
    from unnest(e_member, e_what, e_workflow_id, e_run_id) e(member, what, workflow_id, run_id)
    join memflow.runs r on r.id = memflow.find_open(p_namespace, e.workflow_id, e.run_id)
   where e.what in ('send', 'send_early', 'hook', 'hook_early')
     and r.status = 'running' and r.ending_until > memflow.now() and r.id <> p_run[e.member]
$body$;

-- What the winners of a commit ask of others: in the order asked, but for children, which are started together, in the order
-- of their ids, so that two commits with the same ids do not wait for one another. What must come before a child of the same id
-- is marked early. Tells which ears to ring.
create or replace function memflow.commit_effects(
  p_namespace text, p_run bigint[], p_won boolean[], p_closing boolean[],
  e_member int[], e_what text[], e_op int[], e_name text[], e_workflow_id text[], e_run_id text[], e_attributes text[],
  e_encoding text[], e_data bytea[], p_terminated bytea
) returns text[]
language plpgsql
as $body$
declare
  v_ears text[] := '{}';
  v_early boolean;
  v_what text;
  v_run bigint;
  v_given record;
  v_taken record;
  v_escalation uuid;
  v_status text;
  d_run bigint[] := '{}';
  d_kind text[] := '{}';
  d_op int[] := '{}';
  d_attributes text[] := '{}';
  d_encoding text[] := '{}';
  d_data bytea[] := '{}';
  i int;
begin
  foreach v_early in array array[true, false] loop
    if not v_early and 'child' = any(e_what) then
      v_ears := v_ears || memflow.commit_children(
        p_namespace, p_run, p_won, p_closing, e_member, e_what, e_op, e_workflow_id, e_run_id, e_attributes, e_encoding, e_data);
    end if;
    for i in 1 .. cardinality(e_member) loop
      continue when not p_won[e_member[i]] or e_what[i] in ('child', 'record', 'memo', 'emit', 'next', 'carry', 'answer', 'version');
      v_what := e_what[i];
      if v_what in ('send_early', 'cancel_early', 'terminate_early', 'hook_early', 'tell_early') then
        continue when not v_early;
        v_what := replace(v_what, '_early', '');
      else
        continue when v_early;
      end if;
      v_run := null;
      if v_what = 'mail' then
        if not p_closing[e_member[i]] then
          d_run := d_run || p_run[e_member[i]];
          d_kind := d_kind || e_name[i];
          d_op := d_op || e_op[i];
          d_attributes := d_attributes || e_attributes[i];
          d_encoding := d_encoding || e_encoding[i];
          d_data := d_data || e_data[i];
        end if;
      elsif v_what = 'await' then
        continue when p_closing[e_member[i]];
        delete from memflow.signals s
         where s.id = (select k.id
                         from memflow.signals k
                        where k.namespace = p_namespace and k.signal_id = e_name[i] and k.run is null
                          and (k.expires_at is null or k.expires_at > memflow.now())
                        order by k.id
                        limit 1)
        returning s.encoding, s.data into v_taken;
        if found then
          d_run := d_run || p_run[e_member[i]];
          d_kind := d_kind || 'signal_received'::text;
          d_op := d_op || e_op[i];
          d_attributes := d_attributes || jsonb_build_object('name', e_name[i])::text;
          d_encoding := d_encoding || v_taken.encoding;
          d_data := d_data || v_taken.data;
          if e_attributes[i] is not null then
            v_escalation := memflow.escalate(p_run[e_member[i]], e_op[i], e_name[i], e_attributes[i]);
            perform memflow.end_escalations(array[v_escalation], 'resolved', v_taken.encoding, v_taken.data);
          end if;
        else
          v_escalation := null;
          if e_attributes[i] is not null then
            v_escalation := memflow.escalate(p_run[e_member[i]], e_op[i], e_name[i], e_attributes[i]);
          end if;
          insert into memflow.signals (namespace, signal_id, run, op, at, escalation)
          values (p_namespace, e_name[i], p_run[e_member[i]], e_op[i], memflow.now(), v_escalation);
        end if;
      elsif v_what = 'unwait' then
        -- Its code may have been changed so that it asks nobody any more.
        delete from memflow.signals s where s.run = p_run[e_member[i]] and s.op = e_op[i] returning s.escalation into v_escalation;
        if v_escalation is not null then
          perform memflow.end_escalations(array[v_escalation], 'cancelled', null, null);
        end if;
      elsif v_what = 'unescalate' then
        delete from memflow.signals s where s.run = p_run[e_member[i]] and s.op = e_op[i] returning s.escalation into v_escalation;
        perform memflow.end_escalations(array[v_escalation], e_attributes[i], e_encoding[i], e_data[i]);
      elsif v_what = 'answer_hook' then
        -- Whoever waits is told once; a caller that has ended or gone on as another run is not.
        delete from memflow.hooks h
         where h.id = e_attributes[i]::jsonb ->> 'hook_id' and h.run = p_run[e_member[i]]
        returning h.caller into v_run;
        if found then
          d_run := d_run || v_run;
          d_kind := d_kind || e_name[i];
          d_op := d_op || e_op[i];
          d_attributes := d_attributes || null::text;
          d_encoding := d_encoding || e_encoding[i];
          d_data := d_data || e_data[i];
        end if;
      elsif v_what = 'tell' then
        -- Whether what is sent beside this finds a run that takes it.
        if not p_closing[e_member[i]] then
          select r.id, r.status into v_run, v_status
            from memflow.runs r
           where r.id = coalesce(memflow.find_open(p_namespace, e_workflow_id[i], e_run_id[i]),
                                 memflow.find_run(p_namespace, e_workflow_id[i], e_run_id[i]));
          d_run := d_run || p_run[e_member[i]];
          d_kind := d_kind || case when v_status in ('running', 'paused') then 'message_delivered' else 'message_not_delivered' end;
          d_op := d_op || e_op[i];
          d_attributes := d_attributes || case when v_run is null or v_status not in ('running', 'paused') then
            jsonb_strip_nulls(jsonb_build_object('workflow_id', e_workflow_id[i], 'status', v_status))::text end;
          d_encoding := d_encoding || null::text;
          d_data := d_data || null::bytea;
        end if;
      elsif v_what = 'signal' then
        v_given := memflow.give_signal(p_namespace, e_name[i], e_encoding[i], e_data[i], null);
        if v_given.run is not null then
          d_run := d_run || v_given.run;
          d_kind := d_kind || 'signal_received'::text;
          d_op := d_op || v_given.op;
          d_attributes := d_attributes || jsonb_build_object('name', e_name[i])::text;
          d_encoding := d_encoding || e_encoding[i];
          d_data := d_data || e_data[i];
        end if;
      else
        -- To a run that has ended, or is not there, it is dropped: there is nobody to tell.
        select r.id into v_run
          from memflow.runs r
         where r.id = memflow.find_open(p_namespace, e_workflow_id[i], e_run_id[i]) and r.status in ('running', 'paused')
           for no key update;
        if v_what = 'hook' and (v_run is null or e_name[i] = 'announce') and not p_closing[e_member[i]] then
          select r.status into v_status
            from memflow.runs r
           where r.id = memflow.find_run(p_namespace, e_workflow_id[i], e_run_id[i]);
          d_run := d_run || p_run[e_member[i]];
          d_kind := d_kind || case when v_run is null then 'hook_not_delivered' else 'hook_delivered' end;
          d_op := d_op || e_op[i];
          d_attributes := d_attributes || case when v_run is null then
            jsonb_strip_nulls(jsonb_build_object('workflow_id', e_workflow_id[i], 'status', v_status))::text end;
          d_encoding := d_encoding || null::text;
          d_data := d_data || null::bytea;
        end if;
        continue when v_run is null;
        if v_what = 'hook' then
          d_run := d_run || v_run;
          d_kind := d_kind || 'hook_received'::text;
          d_op := d_op || null::int;
          d_attributes := d_attributes || memflow.hook_sent(
            v_run, p_run[e_member[i]], e_op[i], e_attributes[i], e_name[i] = 'answer' and not p_closing[e_member[i]]);
          d_encoding := d_encoding || e_encoding[i];
          d_data := d_data || e_data[i];
        elsif v_what = 'terminate' then
          v_ears := v_ears || memflow.end_runs(array[v_run], e_attributes[i], e_data[i]) || memflow.closed(array[v_run], p_terminated);
        else
          d_run := d_run || v_run;
          d_kind := d_kind || case v_what when 'cancel' then 'cancel_requested'::text else 'signal_received'::text end;
          d_op := d_op || null::int;
          d_attributes := d_attributes || e_attributes[i];
          d_encoding := d_encoding || e_encoding[i];
          d_data := d_data || e_data[i];
        end if;
      end if;
    end loop;
    -- Before the next round, and without those whose run was terminated further down.
    if cardinality(d_run) > 0 then
      v_ears := v_ears || (
        select memflow.deliver(
                 array_agg(d.run order by d.ord), array_agg(d.kind order by d.ord), array_agg(d.op order by d.ord),
                 array_agg(d.attributes order by d.ord), array_agg(d.encoding order by d.ord), array_agg(d.data order by d.ord),
                 array_agg(null::text))
          from unnest(d_run, d_kind, d_op, d_attributes, d_encoding, d_data) with ordinality d(run, kind, op, attributes, encoding, data, ord)
          join memflow.runs r on r.id = d.run and r.status in ('running', 'paused'));
      d_run := '{}'; d_kind := '{}'; d_op := '{}'; d_attributes := '{}'; d_encoding := '{}'; d_data := '{}';
    end if;
  end loop;

  if 'record' = any(e_what) then
    perform memflow.commit_records(p_namespace, p_run, p_won, e_member, e_what, e_encoding, e_data);
  end if;
  if 'memo' = any(e_what) then
    update memflow.runs r
       set memo_now = e.data, memo_now_encoding = e.encoding
      from unnest(e_member, e_what, e_encoding, e_data) e(member, what, encoding, data)
     where e.what = 'memo' and p_won[e.member] and r.id = p_run[e.member];
  end if;
  if 'answer' = any(e_what) then
    v_ears := v_ears || memflow.commit_replies(p_namespace, p_run, p_won, e_member, e_what, e_name, e_attributes, e_encoding, e_data);
  end if;
  if 'emit' = any(e_what) then
    -- The last lock of all, and nothing waits behind it: ids of events are in commit order, so that a reader who
    -- remembers the last one misses none that commits late.
    perform pg_advisory_xact_lock(memflow.events_lock(p_namespace));
    insert into memflow.events (namespace, at, topic, workflow_id, encoding, data)
    select p_namespace, memflow.now(), e.name, r.workflow_id, e.encoding, e.data
      from unnest(e_member, e_what, e_name, e_encoding, e_data) with ordinality e(member, what, name, encoding, data, ord)
      join memflow.runs r on r.id = p_run[e.member]
     where e.what = 'emit' and p_won[e.member]
     order by e.ord;
    if found then
      v_ears := v_ears || '{event}';
    end if;
  end if;
  return v_ears;
end
$body$;

-- Start the children of a commit. One whose id is taken by another run is answered so; a repeat of the same child is the
-- same child.
create or replace function memflow.commit_children(
  p_namespace text, p_run bigint[], p_won boolean[], p_closing boolean[],
  e_member int[], e_what text[], e_op int[], e_workflow_id text[], e_run_id text[], e_attributes text[], e_encoding text[],
  e_data bytea[]
) returns text[]
language plpgsql
as $body$
declare
  v_ears text[];
  v_old bigint[];
begin
  -- An ended run with the id makes room for the new one. In id order, as all locks on rows of runs.
  select array_agg(o.id) into v_old
    from unnest(e_member, e_what, e_workflow_id, e_run_id) e(member, what, workflow_id, run_id)
   cross join lateral (
      select r.id
        from memflow.runs r
       where r.namespace = p_namespace and r.workflow_id = e.workflow_id and r.slot = 0
         and r.status not in ('running', 'paused') and r.run_id <> e.run_id
       limit 1) o
   where e.what = 'child' and p_won[e.member];
  if v_old is not null then
    perform memflow.lock_runs(v_old);
    update memflow.runs r set slot = r.id where r.id = any(v_old) and r.slot = 0;
  end if;
  with made as (
    insert into memflow.runs (
      namespace, workflow_id, run_id, first_run_id, workflow, task_queue, started_at, last_at, input, input_encoding, headers,
      parent, parent_op, parent_policy, parent_workflow_id, parent_run_id, run_timeout, execution_deadline, deadline, deadline_kind,
      retry, version, pinned, memo, memo_encoding, search, search_encoding)
    select p_namespace, e.workflow_id, e.run_id, e.run_id, e.about ->> 'workflow', coalesce(e.about ->> 'task_queue', p.task_queue),
           memflow.now(), memflow.now(), e.data, e.encoding, e.about ->> 'headers',
           p.id, e.op, e.about ->> 'parent_close_policy', p.workflow_id, p.run_id,
           e.run_timeout, memflow.now() + e.execution_timeout, memflow.now() + least(e.run_timeout, e.execution_timeout),
           case when least(e.run_timeout, e.execution_timeout) = e.run_timeout then 'run'
                when e.execution_timeout is not null then 'execution' end,
           e.about ->> 'retry', case when i.inherits then p.version end, i.inherits,
           decode(e.about ->> 'memo', 'base64'), e.about ->> 'memo_encoding',
           decode(e.about ->> 'search', 'base64'), e.about ->> 'search_encoding'
      from (select x.*, x.attributes::jsonb as about,
                   make_interval(secs => (x.attributes::jsonb ->> 'run_timeout')::float8) as run_timeout,
                   make_interval(secs => (x.attributes::jsonb ->> 'execution_timeout')::float8) as execution_timeout
              from unnest(e_member, e_what, e_op, e_workflow_id, e_run_id, e_attributes, e_encoding, e_data)
                   x(member, what, op, workflow_id, run_id, attributes, encoding, data)
             where x.what = 'child' and p_won[x.member]) e
      join memflow.runs p on p.id = p_run[e.member]
     cross join lateral (
       select p.pinned and coalesce(e.about ->> 'task_queue', p.task_queue) = p.task_queue as inherits) i
     order by e.workflow_id, p.id, e.op
        on conflict do nothing
    returning id, task_queue, parent, version, pinned, search, search_encoding
  ), found as (
    insert into memflow.records (run, namespace, doc)
    select m.id, p_namespace, memflow.fields_of(m.search, m.search_encoding)
      from made m
     where m.search is not null and memflow.fields_of(m.search, m.search_encoding) is not null
  ), due as (
    insert into memflow.wakes (run, namespace, queue, wake_at, version)
    select m.id, p_namespace, m.task_queue, memflow.now(), case when m.pinned then m.version else '' end from made m
  )
  select array_agg(distinct 'queue:' || m.task_queue) into v_ears from made m;
  update memflow.runs r
     set has_children = true
    from unnest(e_member, e_what) e(member, what)
   where e.what = 'child' and p_won[e.member] and r.id = p_run[e.member] and not r.has_children;
  perform memflow.deliver(
            array_agg(x.run order by x.ord), array_agg(x.kind order by x.ord), array_agg(x.op order by x.ord),
            array_agg(x.attributes order by x.ord), array_agg(null::text), array_agg(null::bytea), array_agg(null::text))
     from (select p_run[e.member] as run, e.op, e.ord,
                  case when o.run_id = e.run_id then 'child_started' else 'child_not_started' end as kind,
                  case when o.run_id = e.run_id then null
                       else jsonb_build_object('workflow_id', e.workflow_id, 'run_id', o.run_id)::text end as attributes
             from unnest(e_member, e_what, e_op, e_workflow_id, e_run_id, e_attributes)
                  with ordinality e(member, what, op, workflow_id, run_id, attributes, ord)
             left join lateral (
               select r.run_id
                 from memflow.runs r
                where r.namespace = p_namespace and r.workflow_id = e.workflow_id and r.slot = 0
                limit 1) o on true
            where e.what = 'child' and p_won[e.member] and not p_closing[e.member]
              and (o.run_id is distinct from e.run_id or (e.attributes::jsonb ->> 'announce')::boolean)) x;
  return v_ears;
end
$body$;

-- Which version of the code has advanced these runs, and whether they are pinned to it from now on.
create or replace function memflow.commit_versions(
  p_run bigint[], p_won boolean[], e_member int[], e_what text[], e_name text[], e_attributes text[]
) returns void
language plpgsql
as $body$
begin
  update memflow.runs r
     set version = e.name, pinned = e.versioning = 'pinned'
    from unnest(e_member, e_what, e_name, e_attributes) e(member, what, name, versioning)
   where e.what = 'version' and p_won[e.member] and r.id = p_run[e.member] and not r.pinned;
  update memflow.wakes w
     set version = e.name
    from unnest(e_member, e_what, e_name, e_attributes) e(member, what, name, versioning)
    join memflow.runs r on r.id = p_run[e.member] and r.version = e.name
   where e.what = 'version' and e.versioning = 'pinned' and p_won[e.member] and w.run = p_run[e.member];
end
$body$;

-- Records as their runs have them now. One whose payload is encrypted is not searchable.
create or replace function memflow.commit_records(
  p_namespace text, p_run bigint[], p_won boolean[], e_member int[], e_what text[], e_encoding text[], e_data bytea[]
) returns void
language plpgsql
as $body$
declare
  v_fields jsonb;
  i int;
begin
  for i in 1 .. cardinality(e_member) loop
    continue when e_what[i] <> 'record' or not p_won[e_member[i]];
    v_fields := memflow.fields_of(e_data[i], e_encoding[i]);
    continue when v_fields is null;
    insert into memflow.records (run, namespace, doc)
    values (p_run[e_member[i]], p_namespace, v_fields)
        on conflict (run) do update set doc = excluded.doc;
  end loop;
end
$body$;
