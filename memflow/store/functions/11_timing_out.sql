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
     and (r.deadline < memflow.now() - interval '10 seconds'
          or not exists (select 1 from memflow.workers k
                          where k.namespace = r.namespace and r.task_queue = any(k.queues)
                            and k.seen + k.lease > clock_timestamp()))
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
