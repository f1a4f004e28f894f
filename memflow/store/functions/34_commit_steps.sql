-- The commit of turns that only add to their journal: an activity of this worker ended, the next one starts in its memory.
-- A sequence of activities consists of these, and waits for each of them. Everything else goes through memflow.commit_turns,
-- whose fence and whose order of locks (rows of runs in id order, then their wakes) these are.

-- One turn of one run, as a sequence commits them on an otherwise idle worker: three plain statements, and parameters that are
-- no arrays where one value will do (measured: some 40 us less of Postgres, and as much less of the worker).
-- `arrived` is null if the run is not ours any more.
create or replace function memflow.commit_step(
  p_worker bigint, p_run bigint, p_token uuid, p_length bigint, p_consumed bigint, p_turn int, p_at timestamptz,
  j_kind text[], j_op int[], j_attributes text[], j_encoding text[], j_data bytea[],
  out arrived bigint
)
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_arrived bigint;
  v_changed boolean;
begin
  select r.arrived, w.crashes <> 0 or r.consumed < p_consumed or (w.wake_at is null) <> (r.arrived <= p_consumed)
    into v_arrived, v_changed
    from memflow.runs r
    join memflow.wakes w on w.run = r.id
   where r.id = p_run and r.length = p_length and r.status = 'running' and w.owner = p_worker and w.token = p_token
     for no key update of r, w;
  if not found then
    return;
  end if;

  update memflow.runs r
     set length = p_length + cardinality(j_kind), turn = p_turn, last_at = p_at, consumed = p_consumed, retries = 0,
         waiting_at = null, detail = null, ending_until = null
   where r.id = p_run;
  insert into memflow.journal (run, seq, at, token, turn, op, kind, attributes, encoding, data)
  select p_run, p_length + j.n, p_at, p_token, p_turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from unnest(j_kind, j_op, j_attributes, j_encoding, j_data) with ordinality j(kind, op, attributes, encoding, data, n);

  if v_changed then
    update memflow.wakes w
       set crashes = 0, wake_at = case when v_arrived > p_consumed then memflow.now() end
     where w.run = p_run;
    delete from memflow.inbox i where i.run = p_run and i.position <= p_consumed;
  end if;
  arrived := v_arrived;
end
$body$;

-- Several at once.
create or replace function memflow.commit_steps(
  p_worker bigint, p_run bigint[], p_token uuid[], p_length bigint[], p_consumed bigint[], p_added int[], p_turn int[],
  p_last_at timestamptz[],
  j_member int[], j_seq bigint[], j_turn int[], j_at timestamptz[], j_kind text[], j_op int[], j_attributes text[],
  j_encoding text[], j_data bytea[],
  out members int[], out arrived bigint[]
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_changed bigint[];
begin
  -- Several rows are locked in the order of their ids; one has none, and is locked below (a statement less: 40 of 200 us).
  if cardinality(p_run) > 1 then
    perform 1 from memflow.runs r where r.id = any(p_run) order by r.id for no key update;
  end if;

  with held as materialized (
    select u.member::int as member, u.run, u.consumed, r.arrived,
           w.crashes <> 0 or r.consumed < u.consumed or (w.wake_at is null) <> (r.arrived <= u.consumed) as changed
      from unnest(p_run, p_token, p_length, p_consumed) with ordinality u(run, token, length, consumed, member)
      join memflow.runs r on r.id = u.run
      join memflow.wakes w on w.run = u.run
     where w.owner is not distinct from p_worker and w.token = u.token and r.length = u.length
       and r.status = 'running'
       for no key update of r, w
  ), moved as (
    update memflow.runs r
       set length = r.length + p_added[h.member], turn = coalesce(p_turn[h.member], r.turn),
           last_at = coalesce(p_last_at[h.member], r.last_at), consumed = h.consumed, retries = 0,
           waiting_at = null, detail = null, ending_until = null
      from held h
     where r.id = h.run
  ), written as (
    insert into memflow.journal (run, seq, at, token, turn, op, kind, attributes, encoding, data)
    -- Without those that lost, who are few: a join would compare each entry with each member (300 µs per member of 200).
    select p_run[j.member], j.seq, j.at, p_token[j.member], j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
      from unnest(j_member, j_seq, j_turn, j_at, j_kind, j_op, j_attributes, j_encoding, j_data)
           j(member, seq, turn, at, kind, op, attributes, encoding, data)
     where case when cardinality(p_run) = 1 then exists (select 1 from held)
                else j.member <> all (array(select generate_series(1, cardinality(p_run)) except all select h.member from held h))
           end
  )
  select array_agg(h.member), array_agg(h.arrived), array_agg(h.run) filter (where h.changed)
    into members, arrived, v_changed
    from held h;

  if v_changed is not null then
    update memflow.wakes w
       set crashes = 0, wake_at = case when r.arrived > r.consumed then memflow.now() end
      from unnest(v_changed) u(run)
      join memflow.runs r on r.id = u.run
     where w.run = u.run;
    delete from memflow.inbox i
     using unnest(v_changed) u(run)
      join memflow.runs r on r.id = u.run
     where i.run = u.run and i.position <= r.consumed;
  end if;
end
$body$;
