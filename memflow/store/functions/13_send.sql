-- Leave messages in the inboxes of runs; those to one run keep their order. A request id counts once per chain of runs.
-- p_patient: the caller comes again when the outcome is "busy", which spares a run that is just ending another round.
create or replace function memflow.send(
  p_namespace text, p_workflow_id text[], p_run_id text[], p_kind text[], p_op int[], p_attributes text[],
  p_encoding text[], p_data bytea[], p_request_id text[], p_patient boolean default false
) returns table (outcome text, status text, chain text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
  v_runs bigint[];
  v_again bigint[];
  v_status text[];
  v_chain text[];
  v_busy boolean[];
  v_outcome text[];
  v_go int[] := '{}';
  i int;
begin
  select memflow.find_runs(p_namespace, p_workflow_id, p_run_id) into v_runs;
  perform memflow.lock_runs(v_runs);
  -- Between finding and locking, a new run may have taken over the id: look again, until what we hold cannot change.
  loop
    select memflow.find_runs(p_namespace, p_workflow_id, p_run_id) into v_again;
    exit when v_again is not distinct from v_runs;
    v_runs := v_again;
    perform memflow.lock_runs(v_runs);
  end loop;
  select array_agg(r.status order by u.ord), array_agg(r.first_run_id order by u.ord),
         array_agg(coalesce(r.ending_until > memflow.now(), false) order by u.ord)
    into v_status, v_chain, v_busy
    from unnest(v_runs) with ordinality u(run, ord)
    left join memflow.runs r on r.id = u.run;
  for i in 1 .. cardinality(p_workflow_id) loop
    if v_status[i] is null then
      v_outcome[i] := 'not_found';
    elsif p_patient and v_busy[i] and v_status[i] = 'running' then
      v_outcome[i] := 'busy';
    elsif p_request_id[i] is not null and not memflow.take_request(p_namespace, v_chain[i], p_request_id[i], v_status[i]) then
      v_outcome[i] := 'duplicate';
    elsif v_status[i] not in ('running', 'paused') then
      v_outcome[i] := 'closed';
    else
      v_outcome[i] := 'delivered';
      v_go := v_go || i;
    end if;
  end loop;
  perform memflow.ring(p_namespace, (
    select memflow.deliver(
             array_agg(v_runs[g.i] order by g.i), array_agg(p_kind[g.i] order by g.i), array_agg(p_op[g.i] order by g.i),
             array_agg(p_attributes[g.i] order by g.i), array_agg(p_encoding[g.i] order by g.i), array_agg(p_data[g.i] order by g.i),
             array_agg(p_request_id[g.i] order by g.i))
      from unnest(v_go) g(i)));
  return query
  select u.outcome, u.status, u.chain
    from unnest(v_outcome, v_status, v_chain) with ordinality u(outcome, status, chain, ord) order by u.ord;
end
$body$;

-- The row of a run by workflow id: the latest, or the one named. The latest is tried first: an id may have many runs.
create or replace function memflow.find_run(p_namespace text, p_workflow_id text, p_run_id text) returns bigint
language plpgsql stable
as $body$
declare
  v_run bigint;
  v_run_id text;
begin
  select r.id, r.run_id into v_run, v_run_id
    from memflow.runs r
   where r.namespace = p_namespace and r.workflow_id = p_workflow_id and r.slot = 0;
  if v_run is null or p_run_id is null or v_run_id = p_run_id then
    return v_run;
  end if;
  return (select r.id
            from memflow.runs r
           where r.namespace = p_namespace and r.workflow_id = p_workflow_id and r.run_id = p_run_id
           limit 1);
end
$body$;

-- The same, and on to the run of its chain that has not ended, if there is one.
create or replace function memflow.find_open(p_namespace text, p_workflow_id text, p_run_id text) returns bigint
language plpgsql stable
as $body$
declare
  v_run bigint := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
  v_next text;
begin
  loop
    select r.next_run_id into v_next from memflow.runs r where r.id = v_run;
    if v_next is null then
      return v_run;
    end if;
    v_run := memflow.find_run(p_namespace, p_workflow_id, v_next);
  end loop;
end
$body$;

-- find_run for many, in their order.
create or replace function memflow.find_runs(p_namespace text, p_workflow_id text[], p_run_id text[]) returns bigint[]
language sql stable
as $body$
  select array_agg(memflow.find_run(p_namespace, u.workflow_id, u.run_id) order by u.ord)
    from unnest(p_workflow_id, p_run_id) with ordinality u(workflow_id, run_id, ord)
$body$;

-- Whether this request id is new for this chain; it is taken then, unless the run has ended and nothing will be done.
create or replace function memflow.take_request(p_namespace text, p_chain text, p_request_id text, p_status text) returns boolean
language plpgsql
as $body$
begin
  if p_status in ('running', 'paused') then
    insert into memflow.requests (namespace, scope, request_id, at, run_chain)
    values (p_namespace, p_chain, p_request_id, memflow.now(), true)
        on conflict do nothing;
    return found;
  end if;
  return not exists (
    select 1 from memflow.requests q where q.namespace = p_namespace and q.scope = p_chain and q.request_id = p_request_id);
end
$body$;
