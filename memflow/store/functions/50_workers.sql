-- Free everything that these workers hold: due at once, for anybody. p_lost: they died or fell silent, so that their runs are
-- taken up with caution. Skips rows that are locked: a commit under way knows better, and the next look finds the rest.
create or replace function memflow.free_held(p_workers bigint[], p_lost boolean) returns bigint
language plpgsql
as $body$
declare
  v_freed record;
  v_count bigint := 0;
begin
  for v_freed in
    with held as materialized (
      select w.run from memflow.wakes w where w.owner = any(p_workers) for update skip locked
    ), freed as (
      update memflow.wakes w
         set owner = null, token = null, prefers = null, crashes = w.crashes + p_lost::int,
             wake_at = case r.status when 'paused' then null else memflow.now() end
        from held h
        join memflow.runs r on r.id = h.run
       where w.run = h.run
      returning w.namespace, 'queue:' || w.queue as ear
    ), idle as materialized (
      select a.run, a.op from memflow.activities a where a.owner = any(p_workers) for update skip locked
    ), back as (
      update memflow.activities a
         set owner = null, token = null, due = memflow.due_unless_paused(a.paused_due, a.cancel_requested, memflow.now()),
             attempt = case when a.reset then 0 else a.attempt end, reset = false
        from idle i
       where a.run = i.run and a.op = i.op
      returning a.namespace, 'activities:' || a.queue as ear
    )
    select x.namespace, array_agg(distinct x.ear) as ears, count(*) as n
      from (select f.namespace, f.ear from freed f union all select b.namespace, b.ear from back b) x
     group by x.namespace
  loop
    perform memflow.ring(v_freed.namespace, v_freed.ears);
    v_count := v_count + v_freed.n;
  end loop;
  return v_count;
end
$body$;

-- Take the runs and activities of dead or silent workers from them. Dead: the session lock of its listening connection is
-- free. That is believed only by a worker that has held its own lock for a second: after a restart of Postgres all locks are free
-- until their owners are back. Silent: its lease is over.
create or replace function memflow.release_silent(p_worker bigint) returns bigint
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_trust boolean := exists (
    select 1 from memflow.workers w where w.id = p_worker and w.locked_at < clock_timestamp() - interval '1 second');
  v_workers bigint[];
  v_kept bigint[];
  v_count bigint;
begin
  with silent as materialized (
    select w.id
      from memflow.workers w
     where w.id <> p_worker
       and (w.seen + w.lease < clock_timestamp()
            or (v_trust and w.locked_at is not null and pg_try_advisory_xact_lock(memflow.worker_lock(w.id))))
       for update skip locked
  )
  select array_agg(s.id) into v_workers from silent s;
  if v_workers is null then
    return 0;
  end if;
  v_count := memflow.free_held(v_workers, true);
  -- A worker goes only with the last of what it held: rows that were locked just now are found again this way.
  delete from memflow.workers k
   where k.id = any(v_workers)
     and not exists (select 1 from memflow.wakes w where w.owner = k.id)
     and not exists (select 1 from memflow.activities a where a.owner = k.id);
  return v_count;
end
$body$;

-- A worker leaves: what it holds is due at once for others, and no crash is counted. Its row is locked first: a claim of its
-- own that is under way is waited for, and one that comes later finds no worker and takes nothing.
create or replace function memflow.unregister_worker(p_worker bigint) returns bigint
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_count bigint;
begin
  perform 1 from memflow.workers k where k.id = p_worker for update;
  v_count := memflow.free_held(array[p_worker], false);
  delete from memflow.workers k
   where k.id = p_worker
     and not exists (select 1 from memflow.wakes w where w.owner = k.id)
     and not exists (select 1 from memflow.activities a where a.owner = k.id);
  update memflow.workers k set locked_at = null, lease = '0' where k.id = p_worker;
  return v_count;
end
$body$;

-- A new worker. The first of its version on its queue makes that the version for new runs there.
create or replace function memflow.register_worker(
  p_namespace text, p_identity text, p_queues text[], p_types text[], p_version text, p_lease interval, out id bigint, out lock bigint
)
language plpgsql
as $body$
declare
  v_since timestamptz;
begin
  if p_version is not null then
    insert into memflow.versions (namespace, queue, version, since)
    select p_namespace, q, p_version, clock_timestamp() from unnest(p_queues) q order by q
        on conflict do nothing;
    select max(v.since) into v_since
      from memflow.versions v
     where v.namespace = p_namespace and v.queue = any(p_queues) and v.version = p_version;
  end if;
  insert into memflow.workers as k (namespace, identity, queues, types, version, started_at, seen, lease, version_since)
  values (p_namespace, p_identity, p_queues, p_types, p_version, memflow.now(), clock_timestamp(), p_lease, v_since)
  returning k.id into register_worker.id;
  lock := memflow.worker_lock(id);
end
$body$;
