-- Delete up to p_limit of what has expired: ended runs with all that is theirs, early signals nobody came for, old events, old
-- request ids of signals. Skips what others hold. Tells how many rows of these four kinds went.
create or replace function memflow.prune(p_limit int, p_events interval, p_requests interval) returns bigint
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $body$
declare
  v_runs bigint[];
  v_count bigint := 0;
  v_gone bigint;
begin
  select array_agg(x.id) into v_runs
    from (select r.id
            from memflow.runs r
           where r.expires_at <= memflow.now()
           order by r.expires_at
           limit p_limit
             for update skip locked) x;
  if v_runs is not null then
    delete from memflow.journal j where j.run = any(v_runs);
    delete from memflow.inbox i where i.run = any(v_runs);
    delete from memflow.records c where c.run = any(v_runs);
    delete from memflow.escalations e where e.run = any(v_runs);
    -- Request ids are kept as long as the chain: until its last run goes.
    delete from memflow.requests q
     using memflow.runs r
     where r.id = any(v_runs) and r.next_run_id is null
       and q.namespace = r.namespace and q.scope = r.first_run_id and q.run_chain;
    delete from memflow.replies q
     using memflow.runs r
     where r.id = any(v_runs) and r.next_run_id is null and q.namespace = r.namespace and q.scope = r.first_run_id;
    delete from memflow.runs r where r.id = any(v_runs);
    v_count := cardinality(v_runs);
  end if;
  delete from memflow.signals s
   where s.id in (select k.id from memflow.signals k where k.expires_at <= memflow.now() limit p_limit for update skip locked);
  get diagnostics v_gone = row_count;
  v_count := v_count + v_gone;
  delete from memflow.schedule_ends e                 -- written while their schedule was being deleted
   where not exists (select from memflow.schedules s where s.namespace = e.namespace and s.id = e.schedule);
  delete from memflow.questions q
   where q.id in (
     select k.id from memflow.questions k where k.asked_at < memflow.now() - interval '5 minutes' limit p_limit for update skip locked);
  delete from memflow.events e
   where (e.namespace, e.id) in (
     select k.namespace, k.id from memflow.events k where k.at < memflow.now() - p_events limit p_limit for update skip locked);
  get diagnostics v_gone = row_count;
  v_count := v_count + v_gone;
  delete from memflow.requests q
   where (q.namespace, q.scope, q.request_id) in (
     select k.namespace, k.scope, k.request_id
       from memflow.requests k
      where not k.run_chain and k.at < memflow.now() - p_requests
      limit p_limit for update skip locked);
  get diagnostics v_gone = row_count;
  return v_count + v_gone;
end
$body$;
