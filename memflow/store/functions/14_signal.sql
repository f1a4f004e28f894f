-- Give one signal to the oldest open run that waits for its id, whose row is locked then; else keep it for the first who
-- will (run stays null). The caller holds the lock of the signal id, and delivers.
create or replace function memflow.give_signal(
  p_namespace text, p_signal_id text, p_encoding text, p_data bytea, p_expires_at timestamptz, out run bigint, out op int
)
language plpgsql
as $body$
#variable_conflict use_column
declare
  v_wait bigint;
  v_escalation uuid;
begin
  loop
    select s.id, s.run into v_wait, run
      from memflow.signals s
     where s.namespace = p_namespace and s.signal_id = p_signal_id and s.run is not null
     order by s.id
     limit 1;
    exit when v_wait is null;
    -- The run's row first: its owner may be closing it, or leaving the wait, and would take the wait away.
    perform 1 from memflow.runs r where r.id = give_signal.run and r.status in ('running', 'paused') for no key update;
    if found then
      delete from memflow.signals s where s.id = v_wait returning s.op, s.escalation into op, v_escalation;
      if found then
        if v_escalation is not null then
          perform memflow.end_escalations(array[v_escalation], 'resolved', p_encoding, p_data);
        end if;
        return;
      end if;
    else
      delete from memflow.signals s where s.id = v_wait;
    end if;
  end loop;
  run := null;
  insert into memflow.signals (namespace, signal_id, at, expires_at, encoding, data)
  values (p_namespace, p_signal_id, memflow.now(), p_expires_at, p_encoding, p_data);
end
$body$;

-- The runs that as many signals of these ids would reach: to be locked in id order before they are given.
create or replace function memflow.waiting_runs(p_namespace text, p_signal_ids text[]) returns bigint[]
language sql stable
as $body$
  select array_agg(w.run)
    from (select u.signal_id, count(*) as n from unnest(p_signal_ids) u(signal_id) where u.signal_id is not null group by u.signal_id) x
    cross join lateral (
      select s.run
        from memflow.signals s
       where s.namespace = p_namespace and s.signal_id = x.signal_id and s.run is not null
       order by s.id
       limit x.n) w
$body$;

-- Send signals by id. Several to one id are given in their order.
create or replace function memflow.signal_ids(
  p_namespace text, p_signal_id text[], p_encoding text[], p_data bytea[], p_expire interval[], p_request_id text[]
) returns text[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $body$
declare
  v_outcomes text[];
  v_given record;
  v_run bigint[];
  v_op int[];
  v_which int[] := '{}';
  i int;
begin
  perform memflow.lock_signals(array_fill(p_namespace, array[cardinality(p_signal_id)]), p_signal_id);
  perform memflow.lock_runs(memflow.waiting_runs(p_namespace, p_signal_id));
  for i in 1 .. cardinality(p_signal_id) loop
    if p_request_id[i] is not null then
      insert into memflow.requests (namespace, scope, request_id, at, run_chain)
      values (p_namespace, p_signal_id[i], p_request_id[i], memflow.now(), false)
          on conflict do nothing;
      if not found then
        v_outcomes[i] := 'duplicate';
        continue;
      end if;
    end if;
    v_given := memflow.give_signal(p_namespace, p_signal_id[i], p_encoding[i], p_data[i], memflow.now() + p_expire[i]);
    if v_given.run is null then
      v_outcomes[i] := 'kept';
    else
      v_outcomes[i] := 'delivered';
      v_which := v_which || i;
      v_run := v_run || v_given.run;
      v_op := v_op || v_given.op;
    end if;
  end loop;
  if v_run is not null then
    perform memflow.ring(p_namespace, (
      select memflow.deliver(
               v_run, array_agg('signal_received'::text), v_op,
               array_agg(jsonb_build_object('name', p_signal_id[g.i])::text order by g.ord),
               array_agg(p_encoding[g.i] order by g.ord), array_agg(p_data[g.i] order by g.ord), array_agg(p_request_id[g.i] order by g.ord))
        from unnest(v_which) with ordinality g(i, ord)));
  end if;
  return v_outcomes;
end
$body$;
