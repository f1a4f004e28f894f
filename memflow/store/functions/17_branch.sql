-- Begin a run with a copy of another's journal up to p_seq, the end of a turn: under the same workflow id, in the place of its
-- latest run, which is terminated if it is open (reset), or under another id (fork), where the copied run does not notice.
--
-- What the copied part leaves open is named by the caller, who has read the journal: activities (a_) are queued anew, waits
-- for signals (w_) wait again and ask people again, children (c_) and hooks sent to other runs (h_) go over to the new run (reset)
-- or give it a copy of their end (fork; one that has not ended refuses it). What came after p_seq: signals, updates and hooks are
-- delivered again with p_reapply; mail that nobody has read yet always goes to the new run of a reset.
create or replace function memflow.branch_run(
  p_namespace text, p_workflow_id text, p_run_id text, p_fork boolean, p_seq bigint, p_turn int, p_last_at timestamptz,
  p_new_workflow_id text, p_new_run_id text, p_version text, p_origins text, p_reapply boolean,
  p_memo bytea, p_memo_encoding text, p_record bytea, p_record_encoding text,
  a_op int[], a_name text[], a_queue text[], a_close_by timestamptz[], a_options text[], a_headers text[], a_input bytea[],
  a_input_encoding text[],
  g_op int[], w_op int[], w_name text[], w_escalation text[], c_op int[], c_workflow_id text[], c_run_id text[],
  h_op int[], h_id text[], h_lost bytea[],
  p_attributes text, p_terminated bytea, p_parent_closed bytea, p_cancelled bytea,
  out outcome text, out about text, out run bigint
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
#variable_conflict use_column
declare
  v_base memflow.runs;
  v_last memflow.runs;                               -- the latest run of the id that the new one gets
  v_base_id bigint;
  v_last_id bigint;
  v_children bigint[];                               -- the last run of each child that is open at p_seq
  v_others bigint[];
  v_open boolean;
  v_pinned boolean;
  v_limit timestamptz;
  v_ears text[] := '{}';
  v_mail bigint;
  v_taken record;
  v_found boolean;
  v_escalation uuid;
  i int;
begin
  v_base_id := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
  if v_base_id is null then
    outcome := 'not_found';
    return;
  end if;
  select q.id into run from memflow.runs q where q.namespace = p_namespace and q.workflow_id = p_new_workflow_id and q.run_id = p_new_run_id;
  if run is not null then
    outcome := 'done';                               -- a repeat of this very call
    return;
  end if;
  if cardinality(w_name) > 0 then
    perform memflow.lock_signals(array_fill(p_namespace, array[cardinality(w_name)]), w_name);
  end if;
  loop
    v_last_id := memflow.find_run(p_namespace, p_new_workflow_id, null);
    v_children := memflow.children_named(p_namespace, c_workflow_id, c_run_id);
    select array_agg(distinct h.run) || array_agg(distinct h.caller) into v_others from memflow.hooks h where h.id = any(h_id);
    perform memflow.lock_runs(coalesce(memflow.family(array[v_base_id, v_last_id]), '{}') || v_children || v_others);
    exit when v_last_id is not distinct from memflow.find_run(p_namespace, p_new_workflow_id, null)
          and v_children is not distinct from memflow.children_named(p_namespace, c_workflow_id, c_run_id);
  end loop;
  select * into v_base from memflow.runs r where r.id = v_base_id;
  select * into v_last from memflow.runs r where r.id = v_last_id;
  v_open := coalesce(v_last.status in ('running', 'paused'), false);
  if p_fork then
    if v_open then
      outcome := 'taken';
      about := v_last.run_id;
      return;
    end if;
    select string_agg(c.workflow_id, ', ' order by c.id) into about
      from memflow.runs c
     where c.id = any(v_children) and c.status in ('running', 'paused');
    if about is not null then
      outcome := 'children';
      return;
    end if;
    select string_agg(t.workflow_id, ', ' order by t.id) into about
      from memflow.hooks h
      join memflow.runs t on t.id = h.run
      join memflow.runs c on c.id = h.caller and c.status in ('running', 'paused')
     where h.id = any(h_id);
    if about is not null then
      outcome := 'hooks';
      return;
    end if;
  end if;

  v_pinned := p_version is not null or v_base.pinned;
  v_limit := memflow.now() + v_base.run_timeout;
  if v_base.execution_deadline > memflow.now() then
    v_limit := least(v_limit, v_base.execution_deadline);
  end if;
  update memflow.runs r
     set slot = r.id, next_run_id = case when p_fork then r.next_run_id else p_new_run_id end
   where r.id = v_last_id;
  insert into memflow.runs (
    namespace, workflow_id, run_id, first_run_id, continued_run_id, workflow, task_queue, started_at, last_at, deadline,
    deadline_kind, run_timeout, execution_deadline, retry, attempt, priority, parent, parent_op, parent_policy,
    parent_workflow_id, parent_run_id, input, input_encoding, memo, memo_encoding, memo_now, memo_now_encoding, search,
    search_encoding, headers, version, expire, pinned, task_timeout, length, turn, has_children,
    origin_kind, origin_workflow_id, origin_run_id, origin_seq, origins, schedule, scheduled_at)
  values (
    p_namespace, p_new_workflow_id, p_new_run_id, case when p_fork then p_new_run_id else v_base.first_run_id end,
    v_base.continued_run_id, v_base.workflow, v_base.task_queue, memflow.now(), p_last_at, v_limit,
    case when v_limit = memflow.now() + v_base.run_timeout then 'run' when v_limit is not null then 'execution' end,
    v_base.run_timeout, case when v_base.execution_deadline > memflow.now() then v_base.execution_deadline end, v_base.retry,
    v_base.attempt, v_base.priority, case when not p_fork and v_open then v_last.parent end,
    case when not p_fork and v_open then v_last.parent_op end, case when not p_fork and v_open then v_last.parent_policy end,
    v_base.parent_workflow_id, v_base.parent_run_id, v_base.input, v_base.input_encoding, v_base.memo, v_base.memo_encoding,
    p_memo, p_memo_encoding, v_base.search, v_base.search_encoding, v_base.headers,
    case when v_pinned then coalesce(p_version, v_base.version) end, v_base.expire, v_pinned, v_base.task_timeout, p_seq, p_turn,
    v_children is not null and not p_fork,
    case when p_fork then 'fork' else 'reset' end, v_base.workflow_id, v_base.run_id, p_seq, p_origins,
    case when not p_fork then v_base.schedule end, case when not p_fork then v_base.scheduled_at end)
  returning id into run;
  insert into memflow.journal (run, seq, at, turn, op, kind, attributes, encoding, data)
  select branch_run.run, j.seq, j.at, j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from memflow.journal j
   where j.run = v_base_id and j.seq <= p_seq;

  -- Children: those under way answer to the new run; of those that have ended and left no answer behind, it is made anew.
  if not p_fork then
    update memflow.runs c
       set parent = branch_run.run, parent_run_id = p_new_run_id
     where c.id = any(v_children) and c.status in ('running', 'paused');
  end if;
  insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data, dedupe)
  select branch_run.run, row_number() over (order by x.part, x.n), x.at, x.op, x.kind, x.attributes, x.encoding, x.data, x.dedupe
    from (select 1 as part, j.seq as n, j.at, case when j.op = any(w_op || c_op) then j.op end as op, j.kind, j.attributes,
                 j.encoding, j.data, null::text as dedupe
            from memflow.journal j
           where j.run = v_base_id and j.seq > p_seq
             and ((p_reapply and j.kind in ('signal_received', 'update_received', 'hook_received'))
                  or (p_reapply and j.kind = 'wait_cancelled' and j.op = any(w_op))
                  or (j.kind like 'child%' and j.op = any(c_op)))
          union all
          -- An op of a run that is neither copied nor in this one's place means nothing here.
          select 2, m.position, m.at, case when m.run = v_base_id and m.op = any(w_op || c_op) then m.op end, m.kind, m.attributes,
                 m.encoding, m.data, m.dedupe
            from memflow.inbox m
           where m.run = case when p_fork then v_base_id else v_last_id end
             and ((not p_fork and m.kind in ('signal_received', 'update_received', 'hook_received'))
                  or (not p_fork and m.run = v_base_id and m.kind = 'wait_cancelled' and m.op = any(w_op))
                  or (m.run = v_base_id and m.kind like 'child%' and m.op = any(c_op)))
          union all
          select 3, c.id, memflow.now(), c.parent_op,
                 case c.status when 'completed' then 'child_completed' when 'cancelled' then 'child_cancelled' else 'child_failed' end,
                 null, case when memflow.hands_on(c) then c.result_encoding else 'failure' end,
                 case when memflow.hands_on(c) then c.result else memflow.child_failure(c) end, null
            from memflow.runs c
           where c.id = any(v_children) and c.status not in ('running', 'paused')
             and not exists (
               select 1 from memflow.journal j
                where j.run = v_base_id and j.seq > p_seq and j.op = c.parent_op and j.kind <> 'child_started' and j.kind like 'child%')
             and not exists (
               select 1 from memflow.inbox m where m.run = v_base_id and m.op = c.parent_op and m.kind <> 'child_started')
          union all
          select 4, g.op, memflow.now(), g.op, 'activity_cancelled', null, 'failure', p_cancelled, null from unnest(g_op) g(op)) x;
  get diagnostics v_mail = row_count;

  -- Hooks that the copied part has sent: their answers, as far as they have come; else they answer the new run from now on.
  for i in 1 .. coalesce(cardinality(h_op), 0) loop
    update memflow.hooks h
       set caller = branch_run.run, op = h_op[i]
      from memflow.runs c
     where h.id = h_id[i] and c.id = h.caller and (c.id in (v_base_id, v_last_id) or c.status not in ('running', 'paused'));
    continue when found;
    v_mail := v_mail + 1;
    insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data)
    select branch_run.run, v_mail, memflow.now(), h_op[i], a.kind, a.attributes, a.encoding, a.data
      from memflow.hook_answer(array[v_base_id, v_last_id], h_op[i], h_id[i], h_lost[i]) a;
  end loop;
  -- Hooks that others have sent, and whose end they wait for: they run in the new run now, as far as it knows them.
  if not p_fork then
    update memflow.hooks h
       set run = branch_run.run
     where h.run in (v_base_id, v_last_id)
       and (exists (select 1 from memflow.journal j
                     where j.run = branch_run.run and j.kind = 'hook_received' and j.attributes::jsonb ->> 'hook_id' = h.id)
            or exists (select 1 from memflow.inbox m
                        where m.run = branch_run.run and m.kind = 'hook_received' and m.attributes::jsonb ->> 'hook_id' = h.id));
    update memflow.runs r set has_children = true where r.id = branch_run.run and found;
  end if;

  -- Waits that none of this answers: for a signal that was kept, or anew.
  for i in 1 .. coalesce(cardinality(w_op), 0) loop
    continue when exists (select 1 from memflow.inbox m where m.run = branch_run.run and m.op = w_op[i]);
    delete from memflow.signals s
     where s.id = (select k.id
                     from memflow.signals k
                    where k.namespace = p_namespace and k.signal_id = w_name[i] and k.run is null
                      and (k.expires_at is null or k.expires_at > memflow.now())
                    order by k.id
                    limit 1)
    returning s.encoding, s.data into v_taken;
    v_found := found;
    v_escalation := case when w_escalation[i] is not null
                         then memflow.escalate(branch_run.run, w_op[i], w_name[i], w_escalation[i]) end;
    if v_found then
      if v_escalation is not null then
        perform memflow.end_escalations(array[v_escalation], 'resolved', v_taken.encoding, v_taken.data);
      end if;
      v_mail := v_mail + 1;
      insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data)
      values (branch_run.run, v_mail, memflow.now(), w_op[i], 'signal_received', jsonb_build_object('name', w_name[i])::text,
              v_taken.encoding, v_taken.data);
    else
      insert into memflow.signals (namespace, signal_id, run, op, at, escalation)
      values (p_namespace, w_name[i], branch_run.run, w_op[i], memflow.now(), v_escalation);
    end if;
  end loop;
  update memflow.runs r set arrived = v_mail where r.id = branch_run.run and v_mail > 0;
  insert into memflow.activities (
    run, op, namespace, queue, name, due, paused_due, attempt, scheduled_at, close_by, options, headers, input, input_encoding)
  select branch_run.run, a.op, p_namespace, a.queue, a.name, case when o.is_paused then 'infinity' else memflow.now() end,
         case when o.is_paused then memflow.now() end, 0, memflow.now(), a.close_by, a.options, a.headers, a.input, a.input_encoding
    from unnest(a_op, a_name, a_queue, a_close_by, a_options, a_headers, a_input, a_input_encoding)
         a(op, name, queue, close_by, options, headers, input, input_encoding)
   cross join lateral (                              -- who paused one wants it to rest, whichever run it belongs to
     select not p_fork and exists (
       select 1 from memflow.activities b where b.run = v_base_id and b.op = a.op and b.paused_due is not null) as is_paused) o;
  if memflow.fields_of(p_record, p_record_encoding) is not null then
    insert into memflow.records (run, namespace, doc)
    values (branch_run.run, p_namespace, memflow.fields_of(p_record, p_record_encoding));
  end if;
  insert into memflow.wakes (run, namespace, queue, priority, wake_at, version)
  values (branch_run.run, p_namespace, v_base.task_queue, v_base.priority, memflow.now(),
          case when v_pinned then coalesce(p_version, v_base.version) else '' end);

  if not p_fork and v_open then
    v_ears := memflow.end_runs(array[v_last_id], p_attributes, p_terminated) || memflow.closed(array[v_last_id], p_parent_closed);
  end if;
  select v_ears || coalesce(array_agg(distinct 'activities:' || q), '{}') into v_ears from unnest(a_queue) q;
  perform memflow.ring(p_namespace, v_ears || ('queue:' || v_base.task_queue));
  outcome := 'done';
end
$body$;

-- The last runs of children, by the ids that they were started with.
create or replace function memflow.children_named(p_namespace text, p_workflow_id text[], p_run_id text[]) returns bigint[]
language sql stable
as $body$
  select array_agg(x.id order by x.id)
    from (select memflow.find_open(p_namespace, u.workflow_id, u.run_id) as id
            from unnest(p_workflow_id, p_run_id) u(workflow_id, run_id)) x
   where x.id is not null
$body$;

-- How a hook that nobody runs any more has answered one of these runs, which sent it as this op; where none of them has heard
-- of it, its answer came when there was nobody to take it: p_lost.
create or replace function memflow.hook_answer(p_runs bigint[], p_op int, p_hook_id text, p_lost bytea)
returns table (kind text, attributes text, encoding text, data bytea)
language sql stable
as $body$
  select x.kind, x.attributes, x.encoding, x.data
    from (select j.kind, j.attributes, j.encoding, j.data, 1 as rank
            from memflow.journal j
           where j.run = any(p_runs) and j.op = p_op
             and j.kind in ('hook_delivered', 'hook_not_delivered', 'hook_completed', 'hook_failed')
             and exists (select 1 from memflow.journal s
                          where s.run = j.run and s.kind = 'send_hook' and s.op = p_op
                            and s.attributes::jsonb ->> 'hook_id' = p_hook_id)
          union all
          select m.kind, m.attributes, m.encoding, m.data, 2
            from memflow.inbox m
           where m.run = any(p_runs) and m.op = p_op
             and m.kind in ('hook_delivered', 'hook_not_delivered', 'hook_completed', 'hook_failed')
             and exists (select 1 from memflow.journal s
                          where s.run = m.run and s.kind = 'send_hook' and s.op = p_op
                            and s.attributes::jsonb ->> 'hook_id' = p_hook_id)
          union all
          select 'hook_failed', null, 'failure', p_lost, 3) x
   order by x.rank
   limit 1
$body$;
