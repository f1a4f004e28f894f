-- Ask a run something: leave a query for the workers of its queue. False: there is no such run.
create or replace function memflow.ask_question(
  p_id uuid, p_namespace text, p_workflow_id text, p_run_id text, p_name text, p_encoding text, p_data bytea,
  p_headers text
) returns boolean
language plpgsql
as $body$
declare
  v_queue text;
begin
  insert into memflow.questions (id, namespace, run, name, encoding, data, headers, asked_at, arrived)
  select p_id, p_namespace, r.id, p_name, p_encoding, p_data, p_headers, memflow.now(), r.arrived
    from memflow.runs r
   where r.id = memflow.find_run(p_namespace, p_workflow_id, p_run_id)
      on conflict (id) do nothing;
  select r.task_queue into v_queue
    from memflow.questions q
    join memflow.runs r on r.id = q.run
   where q.id = p_id;
  if v_queue is null then
    return false;
  end if;
  perform memflow.ring(p_namespace, array['questions:' || v_queue]);
  return true;
end
$body$;

-- Answer queries. The first answer counts: a slow worker may have been given up meanwhile.
create or replace function memflow.answer_questions(
  p_namespace text, p_id uuid[], p_outcome text[], p_encoding text[], p_data bytea[]
) returns void
language plpgsql
as $body$
begin
  perform 1 from memflow.questions q where q.id = any(p_id) order by q.id for update;
  update memflow.questions q
     set outcome = u.outcome, answer_encoding = u.encoding, answer = u.data
    from unnest(p_id, p_outcome, p_encoding, p_data) u(id, outcome, encoding, data)
   where q.id = u.id and q.outcome is null;
  perform memflow.ring(p_namespace, array['reply']);
end
$body$;
