-- Durable activities that a commit brings. With a token it runs at the committing worker already. An op that has a row
-- keeps it: a recovered run may ask for the same one again. (Queue '' is of local activities; nobody can claim there.)
create or replace function memflow.commit_activities(
  p_worker bigint, p_namespace text, p_run bigint[], p_won boolean[],
  a_member int[], a_op int[], a_name text[], a_queue text[], a_due timestamptz[], a_token uuid[], a_attempt int[],
  a_scheduled_at timestamptz[], a_close_by timestamptz[], a_options text[], a_headers text[], a_input bytea[],
  a_input_encoding text[], a_last_failure bytea[], a_last_failure_encoding text[], a_heartbeat bytea[],
  a_heartbeat_encoding text[]
) returns text[]
language plpgsql
as $body$
declare
  v_ears text[];
begin
  with made as (
    insert into memflow.activities (
      run, op, namespace, queue, name, due, owner, token, attempt, scheduled_at, close_by, options, headers,
      input, input_encoding, last_failure, last_failure_encoding, heartbeat, heartbeat_encoding)
    select p_run[a.member], a.op, p_namespace, a.queue, a.name, a.due, case when a.token is not null then p_worker end, a.token,
           a.attempt, a.scheduled_at, a.close_by, a.options, a.headers, a.input, a.input_encoding,
           a.last_failure, a.last_failure_encoding, a.heartbeat, a.heartbeat_encoding
      from unnest(a_member, a_op, a_name, a_queue, a_due, a_token, a_attempt, a_scheduled_at, a_close_by, a_options, a_headers,
                  a_input, a_input_encoding, a_last_failure, a_last_failure_encoding, a_heartbeat, a_heartbeat_encoding)
           a(member, op, name, queue, due, token, attempt, scheduled_at, close_by, options, headers, input, input_encoding,
             last_failure, last_failure_encoding, heartbeat, heartbeat_encoding)
     where p_won[a.member]
        on conflict (run, op) do update                  -- what is kept of a local activity is kept anew
           set attempt = excluded.attempt, due = excluded.due, last_failure = excluded.last_failure,
               last_failure_encoding = excluded.last_failure_encoding
         where activities.queue = '' and excluded.queue = ''
    returning owner, nullif(queue, '') as queue, due
  )
  select array_agg(distinct 'activities:' || m.queue) into v_ears
    from made m
   where m.owner is null and m.due <= memflow.now() + interval '2 seconds';
  return v_ears;
end
$body$;

-- Activities that a commit cancels (g_drop false) or takes away. A cancelled one that nobody runs is answered at once;
-- who runs one learns it with the next heartbeat, and is rung. ("coalesce" keeps partial indexes out of the plan: made while
-- the table is empty, it would read one of them whole for each member.)
create or replace function memflow.commit_cancels(
  p_run bigint[], p_won boolean[], p_closing boolean[], g_member int[], g_op int[], g_drop boolean[], p_cancelled bytea
) returns text[]
language plpgsql
as $body$
declare
  v_runs bigint[];
  v_ops int[];
  v_ears text[];
begin
  with marked as (
    update memflow.activities a
       set cancel_requested = true
      from unnest(g_member, g_op, g_drop) g(member, op, gone)
     where not g.gone and p_won[g.member] and a.run = p_run[g.member] and a.op = g.op and coalesce(a.owner, -1) >= 0
    returning a.owner
  ), dropped as (
    delete from memflow.activities a
     using unnest(g_member, g_op, g_drop) g(member, op, gone)
     where g.gone and p_won[g.member] and a.run = p_run[g.member] and a.op = g.op
    returning a.owner
  )
  select array_agg(distinct 'worker:' || x.owner) into v_ears
    from (select m.owner from marked m union all select d.owner from dropped d) x
   where x.owner is not null;
  with idle as (
    delete from memflow.activities a
     using unnest(g_member, g_op, g_drop) g(member, op, gone)
     where not g.gone and p_won[g.member] and not p_closing[g.member]
       and a.run = p_run[g.member] and a.op = g.op and coalesce(a.owner, -1) < 0
    returning a.run, a.op
  )
  select array_agg(i.run order by i.run, i.op), array_agg(i.op order by i.run, i.op) into v_runs, v_ops from idle i;
  if v_runs is not null then
    perform memflow.deliver(
      v_runs, array_fill('activity_cancelled'::text, array[cardinality(v_runs)]), v_ops,
      array_fill(null::text, array[cardinality(v_runs)]), array_fill('failure'::text, array[cardinality(v_runs)]),
      array_fill(p_cancelled, array[cardinality(v_runs)]), array_fill(null::text, array[cardinality(v_runs)]));
  end if;
  return v_ears;
end
$body$;
