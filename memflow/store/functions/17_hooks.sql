-- A hook is left in the inbox of p_run: its attributes there. With p_answered the caller's operation waits for its end, and that
-- run remembers it.
create or replace function memflow.hook_sent(p_run bigint, p_caller bigint, p_op int, p_attributes text, p_answered boolean)
returns text
language plpgsql
as $body$
declare
  v_about jsonb := p_attributes::jsonb;
begin
  if not p_answered then
    return p_attributes;
  end if;
  insert into memflow.hooks (id, run, caller, op) values (v_about ->> 'hook_id', p_run, p_caller, p_op)
      on conflict do nothing;
  -- So that the end of that run looks for whom it concerns.
  update memflow.runs r set has_children = true where r.id = p_run and not r.has_children;
  return (select (v_about || jsonb_build_object('reply_workflow_id', r.workflow_id, 'reply_run_id', r.run_id, 'reply_op', p_op))::text
            from memflow.runs r
           where r.id = p_caller);
end
$body$;

-- These runs have ended: who waits for a hook in one of them is told that it will not end. Tells which ears to ring.
create or replace function memflow.drop_hooks(p_runs bigint[]) returns text[]
language plpgsql
as $body$
declare
  v_callers bigint[];
  v_ops int[];
  v_failures bytea[];
begin
  with gone as (
    delete from memflow.hooks h using unnest(p_runs) u(run) where h.run = u.run returning h.id, h.run, h.caller, h.op)
  select array_agg(g.caller order by g.caller, g.op), array_agg(g.op order by g.caller, g.op),
         array_agg(convert_to(
           '{"kind":"hook","message":' || to_json('workflow ' || r.workflow_id || ' ended before the hook did')::text
           || ',"facts":' || json_build_object('hook', '', 'workflow_id', r.workflow_id, 'run_id', r.run_id)::text
           || ',"cause":{"kind":"application","type":"WorkflowClosedError","message":'
           || to_json('workflow ' || r.workflow_id || ' is ' || r.status)::text || '}}', 'UTF8') order by g.caller, g.op)
    into v_callers, v_ops, v_failures
    from gone g
    join memflow.runs r on r.id = g.run
    join memflow.runs c on c.id = g.caller and c.status in ('running', 'paused');
  if v_callers is null then
    return '{}';
  end if;
  return memflow.deliver(
    v_callers, array_fill('hook_failed'::text, array[cardinality(v_callers)]), v_ops,
    array_fill(null::text, array[cardinality(v_callers)]), array_fill('failure'::text, array[cardinality(v_callers)]), v_failures,
    array_fill(null::text, array[cardinality(v_callers)]));
end
$body$;
