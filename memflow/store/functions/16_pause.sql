-- Pause a run, or resume it: by workflow id, the latest run or the one named. A paused run keeps its mail, is not due, and its
-- owner, if it has one, is rung, to let go of it. Answers as a message to a run is answered.
create or replace function memflow.pause_run(
  p_namespace text, p_workflow_id text, p_run_id text, p_pause boolean, p_reason text, out outcome text, out status text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_run bigint := memflow.lock_run(p_namespace, p_workflow_id, p_run_id);
  v_was text;
  v_queue text;
  v_owner bigint;
begin
  select r.status, r.task_queue into v_was, v_queue from memflow.runs r where r.id = v_run;
  if v_was is null then
    outcome := 'not_found';
    return;
  end if;
  status := v_was;
  if v_was not in ('running', 'paused') then
    outcome := 'closed';
    return;
  end if;
  outcome := 'delivered';
  if p_pause then
    status := 'paused';
    update memflow.runs r set status = 'paused', pause_reason = p_reason where r.id = v_run;
    -- Due for an owner only, who looks and leaves.
    update memflow.wakes w
       set wake_at = case when w.owner is not null then memflow.now() end
     where w.run = v_run
    returning w.owner into v_owner;
    perform memflow.ring(p_namespace, array['worker:' || v_owner]);
  elsif v_was = 'paused' then
    status := 'running';
    update memflow.runs r set status = 'running', pause_reason = null where r.id = v_run;
    update memflow.wakes w
       set wake_at = greatest(memflow.now(), case when r.length = 0 then r.last_at end)  -- a start that is delayed stays so
      from memflow.runs r
     where w.run = v_run and r.id = v_run
    returning w.owner into v_owner;
    perform memflow.ring(p_namespace, array[case when v_owner is null then 'queue:' || v_queue else 'worker:' || v_owner end]);
  end if;
end
$body$;

-- Lock the row of one run, by workflow id, and tell which it is. Meanwhile a new run may have taken over the id: look again.
create or replace function memflow.lock_run(p_namespace text, p_workflow_id text, p_run_id text) returns bigint
language plpgsql
as $body$
declare
  v_run bigint := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
  v_again bigint;
begin
  loop
    perform memflow.lock_runs(array[v_run]);
    v_again := memflow.find_run(p_namespace, p_workflow_id, p_run_id);
    exit when v_again is not distinct from v_run;
    v_run := v_again;
  end loop;
  return v_run;
end
$body$;

-- Pin an open run to a version, or (null) leave it to whichever is the newest. It is due at once: it may have waited for that.
create or replace function memflow.repin_run(
  p_namespace text, p_workflow_id text, p_run_id text, p_version text, out outcome text, out status text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_run bigint := memflow.lock_run(p_namespace, p_workflow_id, p_run_id);
  v_queue text;
begin
  select r.status, r.task_queue into status, v_queue from memflow.runs r where r.id = v_run;
  if status is null then
    outcome := 'not_found';
  elsif status not in ('running', 'paused') then
    outcome := 'closed';
  else
    outcome := 'delivered';
    update memflow.runs r set pinned = p_version is not null, version = coalesce(p_version, r.version) where r.id = v_run;
    update memflow.wakes w
       set version = coalesce(p_version, ''), prefers = null,
           wake_at = case when r.status = 'running' and r.length > 0 then memflow.now() else w.wake_at end
      from memflow.runs r
     where w.run = v_run and r.id = v_run;
    perform memflow.ring(p_namespace, array['queue:' || v_queue]);
  end if;
end
$body$;
