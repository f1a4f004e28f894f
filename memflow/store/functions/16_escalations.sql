-- A wait of a run asks people: a row that one of them may claim and resolve. Tells its id.
create or replace function memflow.escalate(p_run bigint, p_op int, p_signal_id text, p_about text) returns uuid
language plpgsql
as $body$
declare
  v_about jsonb := p_about::jsonb;
  v_id uuid;
begin
  insert into memflow.escalations (
    namespace, run, op, signal_id, workflow_id, run_id, workflow, task_queue, role, type, subtype, entity, description, priority,
    metadata, assigned_to, created_by, created_at, updated_at, expires_at)
  select r.namespace, r.id, p_op, p_signal_id, r.workflow_id, r.run_id, r.workflow, r.task_queue, v_about ->> 'role',
         v_about ->> 'type', v_about ->> 'subtype', v_about ->> 'entity', v_about ->> 'description',
         (v_about ->> 'priority')::int, coalesce(v_about -> 'metadata', '{}'), v_about ->> 'assigned_to',
         v_about ->> 'created_by', memflow.now(), memflow.now(), (v_about ->> 'expires_at')::timestamptz
    from memflow.runs r
   where r.id = p_run
  returning id into v_id;
  return v_id;
end
$body$;

-- Pending escalations end, as their waits have just done. The caller holds the locks of their runs.
create or replace function memflow.end_escalations(p_ids uuid[], p_status text, p_encoding text, p_data bytea) returns void
language plpgsql
as $body$
begin
  update memflow.escalations e
     set status = p_status, payload_encoding = p_encoding, payload = p_data, closed_at = memflow.now(), updated_at = memflow.now()
   where e.id = any(p_ids) and e.status = 'pending';
end
$body$;

-- Runs have ended: nobody waits there any more, and nobody is asked.
create or replace function memflow.drop_waits(p_runs bigint[]) returns void
language plpgsql
as $body$
declare
  v_escalations uuid[];
begin
  with gone as (
    delete from memflow.signals s using unnest(p_runs) u(run) where s.run = u.run returning s.escalation)
  select array_agg(g.escalation) into v_escalations from gone g where g.escalation is not null;
  if v_escalations is not null then
    perform memflow.end_escalations(v_escalations, 'cancelled', null, null);
  end if;
end
$body$;

-- Waits that closing members of a commit have left, before their end cancels all that they still wait for.
create or replace function memflow.leave_escalations(
  p_run bigint[], p_won boolean[], p_closing boolean[], e_member int[], e_what text[], e_op int[], e_attributes text[],
  e_encoding text[], e_data bytea[]
) returns void
language plpgsql
as $body$
declare
  v_escalation uuid;
  i int;
begin
  for i in 1 .. cardinality(e_member) loop
    continue when e_what[i] <> 'unescalate' or not p_won[e_member[i]] or not p_closing[e_member[i]];
    delete from memflow.signals s where s.run = p_run[e_member[i]] and s.op = e_op[i] returning s.escalation into v_escalation;
    perform memflow.end_escalations(array[v_escalation], e_attributes[i], e_encoding[i], e_data[i]);
  end loop;
end
$body$;

-- Members of a commit that leave a wait although somebody has answered its escalation: they have not read that yet.
create or replace function memflow.contested(p_run bigint[], p_consumed bigint[], e_member int[], e_what text[], e_op int[])
returns int[]
language sql stable
as $body$
  select coalesce(array_agg(distinct e.member), '{}')
    from unnest(e_member, e_what, e_op) e(member, what, op)
   where e.what = 'unescalate'
     and exists (
       select 1
         from memflow.inbox m
        where m.run = p_run[e.member] and m.position > p_consumed[e.member] and m.op = e.op
          and m.kind in ('signal_received', 'wait_cancelled'))
$body$;

-- End escalations: with p_status 'resolved' their waits get the payloads, with 'cancelled' they learn that nobody will answer.
-- Answers with one word each: done, not_found, already_..., claimed (by somebody else), claim_expired. With p_together nothing
-- is done unless all can be. A p_assignee asserts that the claim is that person's, or nobody's.
create or replace function memflow.settle_escalations(
  p_namespace text, p_ids uuid[], p_status text, p_encoding text[], p_data bytea[], p_assignee text, p_metadata jsonb,
  p_together boolean
) returns text[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_outcomes text[] := '{}';
  v_row memflow.escalations;
  v_kind text := case p_status when 'resolved' then 'signal_received' else 'wait_cancelled' end;
  d_run bigint[];
  d_op int[];
  d_attributes text[];
  d_encoding text[];
  d_data bytea[];
  i int;
begin
  -- Runs first, as commits do; a row's run never changes.
  perform memflow.lock_runs((
    select array_agg(e.run) from memflow.escalations e
     where e.id = any(p_ids) and e.namespace = p_namespace and e.status = 'pending' and e.run is not null));
  perform 1 from memflow.escalations e where e.id = any(p_ids) order by e.id for update;
  for i in 1 .. cardinality(p_ids) loop
    select * into v_row from memflow.escalations e where e.id = p_ids[i] and e.namespace = p_namespace;
    v_outcomes[i] := case
      when not found then 'not_found'
      when v_row.status <> 'pending' then 'already_' || v_row.status
      when p_assignee is null or v_row.assigned_to is null then 'done'
      when v_row.assigned_to = p_assignee
        then case when v_row.assigned_until <= memflow.now() then 'claim_expired' else 'done' end
      when v_row.assigned_until <= memflow.now() then 'done'
      else 'claimed' end;
  end loop;
  if p_together and exists (select 1 from unnest(v_outcomes) o where o <> 'done') then
    return v_outcomes;
  end if;
  for i in 1 .. cardinality(p_ids) loop
    continue when v_outcomes[i] <> 'done';
    update memflow.escalations e
       set status = p_status, payload_encoding = p_encoding[i], payload = p_data[i], closed_at = memflow.now(),
           updated_at = memflow.now(), metadata = e.metadata || coalesce(p_metadata, '{}')
     where e.id = p_ids[i]
    returning * into v_row;
    delete from memflow.signals s where s.run = v_row.run and s.op = v_row.op;
    if found then
      d_run := d_run || v_row.run;
      d_op := d_op || v_row.op;
      d_attributes := d_attributes || jsonb_build_object('name', v_row.signal_id)::text;
      d_encoding := d_encoding || p_encoding[i];
      d_data := d_data || p_data[i];
    end if;
  end loop;
  if d_run is not null then
    perform memflow.ring(p_namespace, memflow.deliver(
      d_run, array_fill(v_kind, array[cardinality(d_run)]), d_op, d_attributes, d_encoding, d_data,
      array_fill(null::text, array[cardinality(d_run)])));
  end if;
  return v_outcomes;
end
$body$;
