-- Make turns durable: many runs in one statement. See memflow/store/commit.py for what each array holds; members count
-- from 1, and p_run is in ascending order.
--
-- Steps: lock (signal ids, then rows of runs in id order) → fence (the wakes, by token) → runs → journal → inbox →
-- activities → effects → ends → doorbells. Each statement sees what the one before has done.
create or replace function memflow.commit_turns(
  p_worker bigint, p_namespace text,
  p_run bigint[], p_token uuid[], p_length bigint[], p_consumed bigint[], p_release boolean[], p_sticky boolean[],
  p_wake_at timestamptz[], p_closing boolean[], p_status text[], p_result bytea[], p_result_encoding text[],
  p_waiting_at text[], p_detail text[], p_retries int[], p_added int[], p_turn int[], p_last_at timestamptz[],
  j_member int[], j_seq bigint[], j_turn int[], j_at timestamptz[], j_kind text[], j_op int[], j_attributes text[],
  j_encoding text[], j_data bytea[],
  a_member int[], a_op int[], a_name text[], a_queue text[], a_due timestamptz[], a_token uuid[], a_attempt int[],
  a_scheduled_at timestamptz[], a_close_by timestamptz[], a_options text[], a_headers text[], a_input bytea[],
  a_input_encoding text[], a_last_failure bytea[], a_last_failure_encoding text[], a_heartbeat bytea[],
  a_heartbeat_encoding text[],
  g_member int[], g_op int[], g_drop boolean[], p_cancelled bytea,
  e_member int[], e_what text[], e_op int[], e_name text[], e_workflow_id text[], e_run_id text[], e_attributes text[],
  e_encoding text[], e_data bytea[], p_terminated bytea,
  out outcomes text[], out arrived bigint[], out released boolean[]
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_size int := cardinality(p_run);
  v_effects boolean := e_member is not null;
  v_any_closing boolean := true = any(p_closing);
  v_relatives boolean := false;
  v_scheduled boolean := false;
  v_goes_on boolean[] := array_fill(false, array[v_size]);   -- ends, and the next run of its chain takes the unread mail
  v_won boolean[] := array_fill(false, array[v_size]);
  v_members int[];
  v_arrived bigint[];
  v_free boolean[];
  v_closed bigint[];
  v_lock bigint[] := p_run;
  v_ears text[] := '{}';
  v_queues text[];
  v_more text[];
  v_contested int[] := '{}';                                 -- members that leave a wait whose answer they have not read
  v_busy int[] := '{}';                                      -- members that send to a run which is just ending: they come again
  v_at bigint;
  v_status text;
  i int;
begin
  -- Lock. What is read here only says whom to lock; it is decided anew below.
  if v_effects then
    v_lock := v_lock || memflow.lock_effects(p_namespace, e_what, e_name, e_workflow_id, e_run_id);
  end if;
  if v_any_closing then
    select coalesce(bool_or(r.parent is not null or r.has_children), false), coalesce(bool_or(r.schedule is not null), false)
      into v_relatives, v_scheduled
      from unnest(p_run, p_closing) u(run, closing)
      join memflow.runs r on r.id = u.run
     where u.closing and (r.parent is not null or r.has_children or r.schedule is not null);
    if v_relatives then
      v_lock := v_lock || memflow.family((select array_agg(u.run) from unnest(p_run, p_closing) u(run, closing) where u.closing));
    end if;
  end if;
  perform 1 from memflow.runs r where r.id = any(v_lock) order by r.id for no key update;

  if v_effects then
    for i in 1 .. cardinality(e_member) loop
      if e_what[i] = 'next' then
        v_goes_on[e_member[i]] := true;
      end if;
    end loop;
  end if;

  -- Somebody has just answered the escalation of a wait that a member is about to leave: it must read that first.
  if 'unescalate' = any(e_what) then
    v_contested := memflow.contested(p_run, p_consumed, e_member, e_what, e_op);
  end if;

  -- A run whose end met unread mail is about to try again: whoever sends to it waits, or a flood would keep it open for ever.
  if e_what && array['send', 'send_early', 'hook', 'hook_early'] then
    v_busy := memflow.busy_senders(p_namespace, p_run, e_member, e_what, e_workflow_id, e_run_id);
    v_contested := v_contested || v_busy;
  end if;

  -- Fence. A closing member leaves no wake behind; a released one is nobody's, unless there is mail to be read first.
  -- "Is not distinct": or an empty table's plan reads all that this worker owns, for each member.
  -- Its queue is rung when it falls due before the next poll of an idle worker. A paused run takes nothing but what its owner
  -- leaves behind when it lets go of it.
  with kept as (
    update memflow.wakes w
       set owner = case when u.release and (r.arrived <= u.consumed or not u.sticky) then null else w.owner end,
           token = case when u.release and (r.arrived <= u.consumed or not u.sticky) then null else w.token end,
           prefers = case when u.release and r.arrived <= u.consumed and u.sticky then p_worker end,
           wake_at = case when r.status = 'paused' then null
                          when r.arrived > u.consumed then case when u.sticky then memflow.now() else coalesce(u.wake_at, memflow.now()) end
                          when u.release then u.wake_at end,
           crashes = 0
      from unnest(p_run, p_token, p_length, p_consumed, p_release, p_sticky, p_wake_at, p_closing)
           with ordinality u(run, token, length, consumed, release, sticky, wake_at, closing, member)
      join memflow.runs r on r.id = u.run
     where w.run = u.run and w.owner is not distinct from p_worker and w.token = u.token
       and not u.closing and r.length = u.length and (r.status = 'running' or (r.status = 'paused' and not u.sticky))
       and not u.member = any(v_contested)
    returning u.member, r.arrived, w.owner is null as free,
              case when w.owner is null and w.wake_at <= memflow.now() + interval '2 seconds' then w.queue end as queue
  ), gone as (
    delete from memflow.wakes w
     using unnest(p_run, p_token, p_length, p_consumed, p_closing, v_goes_on)
           with ordinality u(run, token, length, consumed, closing, goes_on, member)
      join memflow.runs r on r.id = u.run
     where w.run = u.run and w.owner is not distinct from p_worker and w.token = u.token
       and u.closing and r.length = u.length and r.status = 'running' and (r.arrived <= u.consumed or u.goes_on)
       and not u.member = any(v_contested)
    returning u.member, r.arrived
  )
  select array_agg(x.member), array_agg(x.arrived), array_agg(x.free), array_agg(distinct 'queue:' || x.queue)
    into v_members, v_arrived, v_free, v_queues
    from (select k.member::int, k.arrived, k.free, k.queue from kept k
          union all
          select g.member::int, g.arrived, true, null from gone g) x;
  outcomes := array_fill('fenced'::text, array[v_size]);
  arrived := array_fill(0::bigint, array[v_size]);
  released := array_fill(true, array[v_size]);
  if v_members is not null then
    for i in 1 .. cardinality(v_members) loop
      v_won[v_members[i]] := true;
      outcomes[v_members[i]] := 'won';
      arrived[v_members[i]] := v_arrived[i];
      released[v_members[i]] := v_free[i];
    end loop;
    v_ears := v_ears || v_queues;
  end if;
  if coalesce(cardinality(v_members), 0) < v_size then
    for i in 1 .. v_size loop
      continue when v_won[i];
      -- Into plain variables: an INTO in front of a subscript reads as the column's.
      select r.arrived, r.status into v_at, v_status
        from memflow.runs r
        join memflow.wakes w on w.run = r.id
       where r.id = p_run[i] and r.length = p_length[i] and w.owner = p_worker and w.token = p_token[i];
      if found then
        outcomes[i] := case when v_status = 'paused' then 'paused' when i = any(v_busy) then 'busy' else 'unread' end;
        arrived[i] := v_at;
        released[i] := false;
        if outcomes[i] = 'unread' and p_closing[i] then
          -- Its end is tried again, with the mail. Senders wait meanwhile, or a flood of them would keep it open for ever.
          update memflow.runs r set ending_until = memflow.now() + interval '10 seconds' where r.id = p_run[i];
        end if;
      end if;
    end loop;
  end if;
  if v_members is null then
    return;
  end if;

  update memflow.runs r
     set length = r.length + u.added, turn = coalesce(u.turn, r.turn), last_at = coalesce(u.last_at, r.last_at),
         consumed = u.consumed, retries = u.retries,
         status = case when u.closing then u.status else r.status end,
         ending_until = case when u.closing or not u.sticky then r.ending_until end,
         result = u.result, result_encoding = u.result_encoding, waiting_at = u.waiting_at, detail = u.detail,
         closed_at = case when u.closing then memflow.now() end,
         expires_at = case when u.closing then memflow.now() + r.expire end
    from unnest(p_run, p_consumed, p_closing, p_status, p_result, p_result_encoding, p_waiting_at, p_detail, p_retries, p_added,
                p_turn, p_last_at, p_sticky)
         with ordinality u(run, consumed, closing, status, result, result_encoding, waiting_at, detail, retries, added,
                           turn, last_at, sticky, member)
   where r.id = u.run and v_won[u.member];

  insert into memflow.journal (run, seq, at, token, turn, op, kind, attributes, encoding, data)
  select p_run[j.member], j.seq, j.at, p_token[j.member], j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from unnest(j_member, j_seq, j_turn, j_at, j_kind, j_op, j_attributes, j_encoding, j_data)
         j(member, seq, turn, at, kind, op, attributes, encoding, data)
   where v_won[j.member];

  if 0 < any(p_consumed) then
    delete from memflow.inbox i
     using unnest(p_run, p_consumed) with ordinality u(run, consumed, member)
     where u.consumed > 0 and v_won[u.member] and i.run = u.run and i.position <= u.consumed;
  end if;

  if a_member is not null then
    v_ears := v_ears || memflow.commit_activities(
      p_worker, p_namespace, p_run, v_won, a_member, a_op, a_name, a_queue, a_due, a_token, a_attempt, a_scheduled_at, a_close_by,
      a_options, a_headers, a_input, a_input_encoding, a_last_failure, a_last_failure_encoding, a_heartbeat, a_heartbeat_encoding);
  end if;
  if g_member is not null then
    v_more := memflow.commit_cancels(p_run, v_won, p_closing, g_member, g_op, g_drop, p_cancelled);
    v_ears := v_ears || v_more;
  end if;
  if v_any_closing then
    select array_agg(u.run) into v_closed
      from unnest(p_run, p_closing, v_won) u(run, closing, won)
     where u.closing and u.won;
    if v_closed is not null then
      with gone as (
        delete from memflow.activities a using unnest(v_closed) u(run) where a.run = u.run returning a.owner)
      select array_agg(distinct 'worker:' || g.owner) into v_more from gone g where g.owner is not null;
      if 'unescalate' = any(e_what) then
        perform memflow.leave_escalations(p_run, v_won, p_closing, e_member, e_what, e_op, e_attributes, e_encoding, e_data);
      end if;
      perform memflow.drop_waits(v_closed);
      v_ears := v_ears || v_more || '{done}';
    end if;
  end if;
  if v_effects then
    if 'version' = any(e_what) then
      perform memflow.commit_versions(p_run, v_won, e_member, e_what, e_name, e_attributes);
    end if;
    if true = any(v_goes_on) then
      v_ears := v_ears || memflow.commit_next(
        p_namespace, p_run, v_won, e_member, e_what, e_name, e_run_id, e_attributes, e_encoding, e_data);
    end if;
    v_ears := v_ears || memflow.commit_effects(
      p_namespace, p_run, v_won, p_closing, e_member, e_what, e_op, e_name, e_workflow_id, e_run_id, e_attributes, e_encoding,
      e_data, p_terminated);
    v_relatives := v_relatives or 'child' = any(e_what);
  end if;
  if v_closed is not null and v_relatives then
    v_ears := v_ears || memflow.closed(v_closed, p_terminated);
  end if;
  if v_closed is not null and v_scheduled then
    v_ears := v_ears || memflow.tell_schedules(v_closed);
  end if;

  -- Arrivals that this commit brought its own members: such a run stays with its owner, who is told here and needs no bell.
  if v_effects or g_member is not null or v_relatives then
    with mailed as (
      update memflow.wakes w
         set owner = case when u.sticky then p_worker end, token = case when u.sticky then u.token end,
             wake_at = case when r.status = 'paused' then null when u.sticky then memflow.now()
                            else coalesce(u.wake_at, memflow.now()) end,
             prefers = null
        from unnest(p_run, p_token, p_sticky, p_wake_at, p_closing, v_won, arrived)
             with ordinality u(run, token, sticky, wake_at, closing, won, arrived, member)
        join memflow.runs r on r.id = u.run
       where u.won and not u.closing and w.run = u.run and r.arrived > u.arrived
      returning u.member, r.arrived, w.owner is null as free
    )
    select array_agg(m.member::int), array_agg(m.arrived), array_agg(m.free) into v_members, v_arrived, v_free from mailed m;
    if v_members is not null then
      for i in 1 .. cardinality(v_members) loop
        arrived[v_members[i]] := v_arrived[i];
        released[v_members[i]] := v_free[i];
      end loop;
    end if;
  end if;
  perform memflow.ring(p_namespace, v_ears);
end
$body$;
