-- Begin a run with a copy of another's journal up to p_seq, the end of a turn: under the same workflow id, in the place of its
-- latest run, which is terminated if it is open (reset), or under another id (fork), where the copied run does not notice.
--
-- What the copied part leaves open is named by the caller, who has read the journal: activities (a_) are queued anew, waits
-- for signals (w_) wait again, children (c_) go over to the new run (reset) or give it a copy of their end (fork; one that
-- has not ended refuses it). What came after p_seq: signals and updates are delivered again with p_reapply; mail that nobody has
-- read yet always goes to the new run of a reset.
create or replace function memflow.branch_run(
  p_namespace text, p_workflow_id text, p_run_id text, p_fork boolean, p_seq bigint, p_turn int, p_last_at timestamptz,
  p_new_workflow_id text, p_new_run_id text, p_version text, p_origins text, p_reapply boolean,
  p_memo bytea, p_memo_encoding text, p_record bytea, p_record_encoding text,
  a_op int[], a_name text[], a_queue text[], a_close_by timestamptz[], a_options text[], a_headers text[], a_input bytea[],
  a_input_encoding text[],
  g_op int[], w_op int[], w_name text[], c_op int[],
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
  v_children bigint[];
  v_open boolean;
  v_pinned boolean;
  v_limit timestamptz;
  v_ears text[] := '{}';
  v_mail bigint;
  v_taken record;
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
    select array_agg(c.id) into v_children
      from memflow.runs c
     where c.parent = v_base_id and c.parent_op = any(c_op);
    perform memflow.lock_runs(coalesce(memflow.family(array[v_base_id, v_last_id]), '{}') || v_children);
    exit when v_last_id is not distinct from memflow.find_run(p_namespace, p_new_workflow_id, null);
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
     where c.parent = v_base_id and c.parent_op = any(c_op) and c.next_run_id is null and c.status in ('running', 'paused');
    if about is not null then
      outcome := 'children';
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
    origin_kind, origin_workflow_id, origin_run_id, origin_seq, origins)
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
    case when p_fork then 'fork' else 'reset' end, v_base.workflow_id, v_base.run_id, p_seq, p_origins)
  returning id into run;
  insert into memflow.journal (run, seq, at, turn, op, kind, attributes, encoding, data)
  select branch_run.run, j.seq, j.at, j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from memflow.journal j
   where j.run = v_base_id and j.seq <= p_seq;

  -- Children: those under way answer to the new run; of those that have ended and left no answer behind, it is made anew.
  if not p_fork then
    update memflow.runs c
       set parent = branch_run.run, parent_run_id = p_new_run_id
     where c.parent = v_base_id and c.parent_op = any(c_op) and c.status in ('running', 'paused');
  end if;
  insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data, dedupe)
  select branch_run.run, row_number() over (order by x.part, x.n), x.at, x.op, x.kind, x.attributes, x.encoding, x.data, x.dedupe
    from (select 1 as part, j.seq as n, j.at, case when j.op = any(w_op || c_op) then j.op end as op, j.kind, j.attributes,
                 j.encoding, j.data, null::text as dedupe
            from memflow.journal j
           where j.run = v_base_id and j.seq > p_seq
             and ((p_reapply and j.kind in ('signal_received', 'update_received')) or (j.kind like 'child%' and j.op = any(c_op)))
          union all
          select 2, m.position, m.at, case when m.op = any(w_op || c_op) then m.op end, m.kind, m.attributes, m.encoding, m.data,
                 m.dedupe
            from memflow.inbox m
           where m.run = case when p_fork then v_base_id else v_last_id end
             and ((not p_fork and m.kind in ('signal_received', 'update_received'))
                  or (m.run = v_base_id and m.kind like 'child%' and m.op = any(c_op)))
          union all
          select 3, c.id, memflow.now(), c.parent_op,
                 case c.status when 'completed' then 'child_completed' when 'cancelled' then 'child_cancelled' else 'child_failed' end,
                 null, case when memflow.hands_on(c) then c.result_encoding else 'failure' end,
                 case when memflow.hands_on(c) then c.result else memflow.child_failure(c) end, null
            from memflow.runs c
           where c.parent = v_base_id and c.parent_op = any(c_op) and c.next_run_id is null
             and c.status not in ('running', 'paused')
             and not exists (
               select 1 from memflow.journal j
                where j.run = v_base_id and j.seq > p_seq and j.op = c.parent_op and j.kind <> 'child_started' and j.kind like 'child%')
             and not exists (
               select 1 from memflow.inbox m where m.run = v_base_id and m.op = c.parent_op and m.kind <> 'child_started')
          union all
          select 4, g.op, memflow.now(), g.op, 'activity_cancelled', null, 'failure', p_cancelled, null from unnest(g_op) g(op)) x;
  get diagnostics v_mail = row_count;

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
    if found then
      v_mail := v_mail + 1;
      insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data)
      values (branch_run.run, v_mail, memflow.now(), w_op[i], 'signal_received', jsonb_build_object('name', w_name[i])::text,
              v_taken.encoding, v_taken.data);
    else
      insert into memflow.signals (namespace, signal_id, run, op, at)
      values (p_namespace, w_name[i], branch_run.run, w_op[i], memflow.now());
    end if;
  end loop;
  update memflow.runs r set arrived = v_mail where r.id = branch_run.run and v_mail > 0;
  insert into memflow.activities (
    run, op, namespace, queue, name, due, attempt, scheduled_at, close_by, options, headers, input, input_encoding)
  select branch_run.run, a.op, p_namespace, a.queue, a.name, memflow.now(), 0, memflow.now(), a.close_by, a.options, a.headers,
         a.input, a.input_encoding
    from unnest(a_op, a_name, a_queue, a_close_by, a_options, a_headers, a_input, a_input_encoding)
         a(op, name, queue, close_by, options, headers, input, input_encoding);
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
