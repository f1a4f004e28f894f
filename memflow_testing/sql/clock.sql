-- The clock of a test schema: memflow.now() plus what was skipped so far. Written over the functions of the library,
-- in a schema that tests alone use.

create table if not exists memflow.test_clock (
  one     boolean primary key default true check (one),
  kept    boolean not null default false             -- somebody wants to look at it after the test: not to be used again
);

insert into memflow.test_clock default values on conflict do nothing;

-- Microseconds skipped so far. A sequence: it is read without a query, and the time is asked for a dozen times in each turn of a
-- run. It moves outside of transactions, but nothing is under way when it does, or a test moves it on purpose.
create sequence if not exists memflow.test_skipped minvalue 0 start 0;

create or replace function memflow.now() returns timestamptz
language plpgsql stable parallel safe
as $body$
begin
  return statement_timestamp() + coalesce(pg_sequence_last_value('memflow.test_skipped'), 0) * interval '1 microsecond';
end
$body$;

-- Ring everybody who may wait for time to pass, but the workers that were told already.
create or replace function memflow.test_ring(p_told bigint[]) returns void
language plpgsql
as $body$
declare
  v_each record;
begin
  if not exists (select 1 from memflow.workers k where k.id <> all(p_told)) then
    return;
  end if;
  for v_each in
    select k.namespace, array_agg(distinct e.ear) as ears
      from memflow.workers k
      cross join lateral (
        select 'queue:' || q from unnest(k.queues) q
        union all select 'queue:' || q || '/activities' from unnest(k.queues) q
        union all select 'activities:' || q from unnest(k.queues) q
        union all select 'worker:' || k.id
        union all select 'schedules') e(ear)
     where k.id <> all(p_told)
     group by k.namespace
  loop
    perform memflow.ring(v_each.namespace, v_each.ears);
  end loop;
end
$body$;

-- Whether a worker of these queues takes runs of this one: activities that were started without a workflow have one of their own.
create or replace function memflow.test_serves(p_queues text[], p_queue text) returns boolean
language sql immutable
as $body$
  select p_queue = any(p_queues) or (right(p_queue, 11) = '/activities' and left(p_queue, -11) = any(p_queues))
$body$;

-- When the next schedule is to be looked at; in the past, if a run has ended for whose end one waits.
create or replace function memflow.test_schedules_due() returns timestamptz
language sql stable
as $body$
  select case when exists (
                     select 1
                       from memflow.schedule_ends e
                       join memflow.schedules s on s.namespace = e.namespace and s.id = e.schedule
                      where memflow.minds_ends(s))
              then '-infinity'
              else (select min(s.look_at) from memflow.schedules s where s.look_at is not null) end
$body$;

-- Move the clock, whatever is under way. Seconds, not an interval of days: a day has 23 hours in some zones.
create or replace function memflow.test_advance(p_seconds double precision, p_told bigint[]) returns timestamptz
language plpgsql
as $body$
begin
  perform setval('memflow.test_skipped', coalesce(pg_sequence_last_value('memflow.test_skipped'), 0) + round(p_seconds * 1000000)::bigint);
  perform memflow.test_ring(p_told);
  return memflow.now();
end
$body$;

-- If nothing is under way, move the clock to what falls due next, but not past p_until. `state` is
--   busy     something is under way: a run or an activity in a worker's hands, a question, or the end of a run that a caller
--            waits for (p_awaited) and has not heard of yet. An activity that waits to be completed from outside is not.
--   due      nothing is under way, but something is due (unread mail makes due), and there is a worker on its queue, of the version
--            that a run is pinned to
--   skipped  the clock was moved to `at`
--   reached  p_until has come, and all that fell due before is done
--   nothing  nothing will ever fall due
-- `progress` grows with whatever any run does; it is not told to who waits for a time (p_until), whose wait ends by itself. `kinds` say what has fallen due: runs, activities, schedules. What is due where no
-- worker serves the queue is not waited for, nor is what never falls due: an activity paused by hand.
drop function if exists memflow.test_skip(bigint[], timestamptz, bigint[]);
create function memflow.test_skip(
  p_awaited bigint[], p_until timestamptz, p_told bigint[],
  out state text, out at timestamptz, out progress bigint, out kinds text[]
)
language plpgsql
as $body$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_busy boolean;
  v_ready boolean;
  v_runs timestamptz;
  v_activities timestamptz;
  v_schedules timestamptz;
  v_due timestamptz;
begin
  -- Whoever is writing is under way. Not waited for: others would have to wait behind us.
  begin
    lock table memflow.wakes, memflow.activities in share mode nowait;
  exception when lock_not_available then
    state := 'busy';
    at := memflow.now();
    return;
  end;
  v_now := memflow.now();
  at := v_now;
  -- One query, for it runs once for each jump: each of its own would cost as much as all of this.
  select w.held or a.held
         or exists (select 1 from memflow.questions q where q.outcome is null and q.asked_at > v_now - interval '1 minute')
         or (cardinality(p_awaited) > 0 and exists (
               select 1 from memflow.runs r where r.id = any(p_awaited) and r.status not in ('running', 'paused'))),
         w.ready or a.ready or (s.due <= v_now and exists (select 1 from memflow.workers)),
         w.due, a.due, s.due,
         least(w.next, a.next, case when s.due > v_now then s.due end,
               (select min(r.deadline) from memflow.runs r                -- of one that no worker serves: it ends all the same
                 where r.id = any(p_awaited) and r.status = 'running' and r.deadline > v_now))
    into v_busy, v_ready, v_runs, v_activities, v_schedules, v_due
    from (select bool_or(w.owner is not null) as held,
                 bool_or(w.wake_at <= v_now
                         and exists (select 1 from memflow.workers k where k.namespace = w.namespace
                                                                       and memflow.test_serves(k.queues, w.queue)
                                                                       and w.version in ('', k.version))) as ready,
                 min(w.wake_at) as due,
                 min(w.wake_at) filter (where w.wake_at > v_now) as next
            from memflow.wakes w) w
   cross join (
          select bool_or(a.owner > 0) as held,
                 bool_or(a.due <= v_now and coalesce(a.owner, 0) = 0
                         and exists (select 1 from memflow.workers k where k.namespace = a.namespace
                                                                       and a.queue = any(k.queues))) as ready,
                 min(a.due) as due,
                 min(a.due) filter (where a.due > v_now and a.due < 'infinity') as next
            from memflow.activities a) a
   cross join (select memflow.test_schedules_due() as due offset 0) s;   -- offset: asked once
  if v_busy then
    state := 'busy';
    return;
  end if;
  if v_ready then
    state := 'due';
    return;
  end if;
  if p_until <= v_now then
    state := 'reached';
    return;
  end if;
  v_due := least(p_until, v_due);
  if p_until is null then
    select coalesce(sum(r.length), 0) into progress from memflow.runs r;
  end if;
  if v_due is null then
    state := 'nothing';
    return;
  end if;
  kinds := array_remove(array[
    case when v_runs <= v_due then 'runs' end,
    case when v_activities <= v_due then 'activities' end,
    case when v_schedules <= v_due then 'schedules' end], null);
  at := memflow.test_advance(extract(epoch from v_due - v_now)::double precision, p_told);
  state := 'skipped';
end
$body$;

-- test_skip, and, if it has made schedules due, what a worker would see who looked at them now: the next round trip, spared.
-- The first row is what test_skip says, the others are those of look_at_schedules.
drop function if exists memflow.test_skip_and_look(bigint[], timestamptz, bigint[], text, int);
create function memflow.test_skip_and_look(p_awaited bigint[], p_until timestamptz, p_told bigint[], p_namespace text, p_limit int)
returns table (
  became text, at timestamptz, progress bigint, kinds text[],
  id text, plan text, policy text, start text, state text, paused boolean, next_at timestamptz, last_at timestamptz,
  result bytea, result_encoding text, failure bytea, failure_encoding text, created_at timestamptz, updated_at timestamptz,
  version text, now timestamptz, look_at timestamptz, ends bigint[],
  ended_runs text[], ended_status text[], ended_at timestamptz[], ended_result bytea[], ended_encoding text[]
)
language plpgsql
as $body$
#variable_conflict use_column
declare
  v_skip record;
begin
  v_skip := memflow.test_skip(p_awaited, p_until, p_told);
  became := v_skip.state;
  at := v_skip.at;
  progress := v_skip.progress;
  kinds := v_skip.kinds;
  return next;
  if 'schedules' = any(kinds) then
    return query
    select null::text, null::timestamptz, null::bigint, null::text[], l.* from memflow.look_at_schedules(p_namespace, p_limit, false) l;
  end if;
end
$body$;

-- Whether everything that is due has been taken up, and no run is in a worker's hands. Activities may be running.
create or replace function memflow.test_settled() returns boolean
language sql
as $body$
  select not exists (
           select 1 from memflow.wakes w
            where w.owner is not null
               or (w.wake_at <= memflow.now()
                   and exists (select 1 from memflow.workers k where k.namespace = w.namespace and memflow.test_serves(k.queues, w.queue)
                                                                 and w.version in ('', k.version))))
     and not exists (
           select 1 from memflow.activities a
            where coalesce(a.owner, 0) = 0 and a.due <= memflow.now()
              and exists (select 1 from memflow.workers k where k.namespace = a.namespace and a.queue = any(k.queues)))
     and not (coalesce(memflow.test_schedules_due() <= memflow.now(), false) and exists (select 1 from memflow.workers))
$body$;

-- Forget all runs, and begin at the present.
create or replace function memflow.test_wipe() returns void
language plpgsql
as $body$
declare
  v_table text;
begin
  for v_table in
    -- Most are empty since they were made, and have no page: to open each of them would take longer than all the rest.
    select format('%I.%I', n.nspname, c.relname)
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = :schema and c.relkind = 'r' and c.relname not in ('migrations', 'test_clock') and pg_relation_size(c.oid) > 0
  loop
    execute 'delete from ' || v_table;
  end loop;
  perform setval('memflow.test_skipped', 0);
end
$body$;
