-- Whether a worker lives that takes runs of this queue. Activities that were started without a workflow have one of their own.
create or replace function memflow.is_served(p_namespace text, p_queue text) returns boolean
language sql stable
as $body$
  select exists (
    select 1 from memflow.workers k
     where k.namespace = p_namespace and k.seen + k.lease > clock_timestamp()
       and case when right(p_queue, 11) = '/activities' then left(p_queue, -11) else p_queue end = any(k.queues))
$body$;

-- Runs whose time is up while nobody could say so: no worker of their queue lives, or none has come for ten seconds. What would
-- begin anew, by a retry policy or a cron line, is left to a worker, unless the time of its whole chain is up.
create or replace function memflow.overdue(p_runs bigint[]) returns bigint[]
language sql stable
as $body$
  select array_agg(r.id)
    from memflow.runs r
    left join memflow.wakes w on w.run = r.id
   where r.id = any(p_runs) and r.status = 'running' and r.deadline <= memflow.now()
     and (r.deadline_kind = 'execution' or (r.retry is null and coalesce(position('"memflow-cron"' in r.headers), 0) = 0))
     and not exists (select 1 from memflow.workers k where k.id = w.owner and k.seen + k.lease > clock_timestamp())
     and (r.deadline < memflow.now() - interval '10 seconds' or not memflow.is_served(r.namespace, r.task_queue))
$body$;

-- Up to p_limit runs of each queue that no worker serves, whose time is up: what nobody looks at has to end as well. From queue to
-- queue by the index, so that what waits on those that are served costs nothing.
create or replace function memflow.left_overdue(p_namespace text, p_limit int) returns bigint[]
language plpgsql
set enable_seqscan = off set jit = off
as $body$
declare
  v_queue text := '';
  v_found bigint[];
  v_all bigint[] := '{}';
begin
  loop
    select min(w.queue) into v_queue
      from memflow.wakes w
     where w.namespace = p_namespace and w.queue > v_queue and w.owner is null and w.wake_at is not null;
    exit when v_queue is null;
    continue when memflow.is_served(p_namespace, v_queue);
    select array_agg(r.id) into v_found
      from (select w.run
              from memflow.wakes w
             where w.namespace = p_namespace and w.queue = v_queue and w.owner is null and w.wake_at <= memflow.now()
             limit p_limit) w
      join memflow.runs r on r.id = w.run
     where r.status = 'running' and r.deadline <= memflow.now();
    v_all := v_all || v_found;
  end loop;
  return v_all;
end
$body$;

-- End those of these runs that are overdue, as a worker would: p_attributes and p_failures by p_kinds, which may be 'run' and
-- 'execution'. Whoever looks at a run and finds its time up calls this. Tells whether there were any.
create or replace function memflow.time_out_runs(
  p_namespace text, p_runs bigint[], p_kinds text[], p_attributes text[], p_failures bytea[], p_failure_of_children bytea
) returns boolean
language plpgsql
as $body$
declare
  v_overdue bigint[] := memflow.overdue(p_runs);
  v_runs bigint[];
begin
  if v_overdue is null then
    return false;
  end if;
  perform memflow.lock_runs(memflow.family(v_overdue));
  v_overdue := memflow.overdue(v_overdue);               -- meanwhile a worker may have come
  for i in 1 .. cardinality(p_kinds) loop
    select array_agg(r.id) into v_runs
      from memflow.runs r
     where r.id = any(v_overdue) and coalesce(r.deadline_kind, 'run') = p_kinds[i];
    if v_runs is not null then
      perform memflow.ring(p_namespace, memflow.end_runs(v_runs, p_attributes[i], p_failures[i], 'failure', 'timed_out')
                                        || memflow.closed(v_runs, p_failure_of_children));
    end if;
  end loop;
  return v_overdue is not null;
end
$body$;
