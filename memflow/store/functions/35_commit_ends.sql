-- The commit of turns that end their run and leave nothing else behind: no effects, no next run, no relatives, no unread mail.
-- Most runs end so. Everything else goes through memflow.commit_turns, whose fence and whose order of locks (rows of runs in id
-- order, then their wakes) these are; whoever is left out here is for that function to judge.

-- One run, as an otherwise idle worker ends them: plain statements, and no array where one value will do. `done` is false if it
-- was left out.
create or replace function memflow.commit_end(
  p_worker bigint, p_namespace text, p_run bigint, p_token uuid, p_length bigint, p_consumed bigint, p_status text, p_result bytea,
  p_result_encoding text, p_turn int, p_last_at timestamptz,
  j_turn int[], j_at timestamptz[], j_kind text[], j_op int[], j_attributes text[], j_encoding text[], j_data bytea[],
  out done boolean
)
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_now timestamptz := memflow.now();
  v_schedule text;
  v_ears text[] := '{done}';
  v_more text[];
begin
  done := false;
  select r.schedule into v_schedule
    from memflow.runs r
    join memflow.wakes w on w.run = r.id
   where r.id = p_run and r.length = p_length and r.arrived <= p_consumed and r.status = 'running' and r.parent is null
     and not r.has_children and w.owner = p_worker and w.token = p_token
     for no key update of r, w;
  if not found then
    return;
  end if;

  delete from memflow.wakes w where w.run = p_run;
  update memflow.runs r
     set length = p_length + cardinality(j_kind), turn = p_turn, last_at = p_last_at, consumed = p_consumed, retries = 0,
         status = p_status, result = p_result, result_encoding = p_result_encoding, waiting_at = null,
         detail = null, closed_at = v_now, expires_at = v_now + r.expire
   where r.id = p_run;
  insert into memflow.journal (run, seq, at, token, turn, op, kind, attributes, encoding, data)
  select p_run, p_length + j.n, j.at, p_token, j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from unnest(j_turn, j_at, j_kind, j_op, j_attributes, j_encoding, j_data)
         with ordinality j(turn, at, kind, op, attributes, encoding, data, n);

  if p_consumed > 0 then
    delete from memflow.inbox i where i.run = p_run;
  end if;
  if p_length > 0 then                                       -- in its only turn it had neither
    with gone as (delete from memflow.activities a where a.run = p_run returning a.owner)
    select array_agg(distinct 'worker:' || g.owner) into v_more from gone g where g.owner is not null;
    v_ears := v_ears || v_more;
    perform memflow.drop_waits(array[p_run]);
  end if;
  if v_schedule is not null then
    v_ears := v_ears || memflow.tell_schedules(array[p_run]);
  end if;
  perform memflow.ring(p_namespace, v_ears);
  done := true;
end
$body$;

-- Several at once. p_run is in ascending order; members count from 1, and those that won are told.
create or replace function memflow.commit_ends(
  p_worker bigint, p_namespace text, p_run bigint[], p_token uuid[], p_length bigint[], p_consumed bigint[], p_status text[],
  p_result bytea[], p_result_encoding text[], p_added int[], p_turn int[], p_last_at timestamptz[],
  j_member int[], j_seq bigint[], j_turn int[], j_at timestamptz[], j_kind text[], j_op int[], j_attributes text[],
  j_encoding text[], j_data bytea[],
  out members int[]
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_now timestamptz := memflow.now();
  v_scheduled boolean;
  v_won boolean[];                                           -- null: all of them
  v_closed bigint[] := p_run;
  v_ears text[] := '{done}';
  v_more text[];
  i int;
begin
  perform 1 from memflow.runs r where r.id = any(p_run) order by r.id for no key update;
  -- "Is not distinct": or an empty table's plan reads all that this worker owns, for each member.
  with gone as (
    delete from memflow.wakes w
     using unnest(p_run, p_token, p_length, p_consumed) with ordinality u(run, token, length, consumed, member)
      join memflow.runs r on r.id = u.run
     where w.run = u.run and w.owner is not distinct from p_worker and w.token = u.token and r.length = u.length
       and r.status = 'running' and r.arrived <= u.consumed and r.parent is null and not r.has_children
    returning u.member, r.schedule
  )
  select array_agg(g.member::int), bool_or(g.schedule is not null) into members, v_scheduled from gone g;
  if members is null then
    return;
  end if;
  if cardinality(members) < cardinality(p_run) then
    v_won := array_fill(false, array[cardinality(p_run)]);
    v_closed := '{}';
    foreach i in array members loop
      v_won[i] := true;
      v_closed := v_closed || p_run[i];
    end loop;
  end if;

  update memflow.runs r
     set length = r.length + u.added, turn = u.turn, last_at = u.last_at, consumed = u.consumed, retries = 0,
         status = u.status, result = u.result, result_encoding = u.result_encoding, waiting_at = null,
         detail = null, closed_at = v_now, expires_at = v_now + r.expire
    from unnest(p_run, p_consumed, p_status, p_result, p_result_encoding, p_added, p_turn, p_last_at)
         with ordinality u(run, consumed, status, result, result_encoding, added, turn, last_at, member)
   where r.id = u.run and (v_won is null or v_won[u.member]);
  insert into memflow.journal (run, seq, at, token, turn, op, kind, attributes, encoding, data)
  select p_run[j.member], j.seq, j.at, p_token[j.member], j.turn, j.op, j.kind, j.attributes, j.encoding, j.data
    from unnest(j_member, j_seq, j_turn, j_at, j_kind, j_op, j_attributes, j_encoding, j_data)
         j(member, seq, turn, at, kind, op, attributes, encoding, data)
   where v_won is null or v_won[j.member];

  if 0 < any(p_consumed) then
    delete from memflow.inbox i using unnest(v_closed) u(run) where i.run = u.run;
  end if;
  if 0 < any(p_length) then                                  -- in its only turn a run had neither
    with gone as (
      delete from memflow.activities a using unnest(v_closed) u(run) where a.run = u.run returning a.owner)
    select array_agg(distinct 'worker:' || g.owner) into v_more from gone g where g.owner is not null;
    v_ears := v_ears || v_more;
    perform memflow.drop_waits(v_closed);
  end if;
  if v_scheduled then
    v_ears := v_ears || memflow.tell_schedules(v_closed);
  end if;
  perform memflow.ring(p_namespace, v_ears);
end
$body$;
