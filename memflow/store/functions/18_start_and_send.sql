-- Start one run, or use the one that is open, and leave a message in its inbox: both or neither, in one transaction.
-- A start that is refused sends nothing; then outcome is null. The message is known by its request id, as in `send`.
create or replace function memflow.start_and_send(
  p_namespace text, p_workflow_id text, p_run_id text, p_workflow text, p_queue text,
  p_input bytea, p_input_encoding text, p_on_conflict text, p_reuse text, p_request_id text,
  p_delay interval, p_run_timeout interval, p_execution_timeout interval, p_headers text,
  p_memo bytea, p_memo_encoding text, p_search bytea, p_search_encoding text, p_expire interval, p_priority int,
  p_signal text, p_signal_encoding text, p_signal_data bytea, p_retry text, p_task_timeout interval, p_failure bytea,
  p_kind text, p_op int, p_attributes text, p_encoding text, p_data bytea, p_message_id text
) returns table (run bigint, run_id text, created boolean, conflict text, outcome text, status text, chain text)
language plpgsql
as $body$
#variable_conflict use_column
begin
  select s.run, s.run_id, s.created, s.conflict into run, run_id, created, conflict
    from memflow.start_runs(
      array[p_namespace], array[p_workflow_id], array[p_run_id], array[p_workflow], array[p_queue],
      array[p_input], array[p_input_encoding], array[p_on_conflict], array[p_reuse], array[p_request_id],
      array[p_delay], array[p_run_timeout], array[p_execution_timeout], array[p_headers],
      array[p_memo], array[p_memo_encoding], array[p_search], array[p_search_encoding], array[p_expire], array[p_priority],
      array[p_signal], array[p_signal_encoding], array[p_signal_data], array[p_retry], p_failure, array[p_task_timeout]) s;
  if conflict is null then
    -- The start holds the run's row, so that it cannot end before the message is there.
    select s.outcome, s.status, s.chain into outcome, status, chain
      from memflow.send(p_namespace, array[p_workflow_id], array[run_id], array[p_kind], array[p_op], array[p_attributes],
                        array[p_encoding], array[p_data], array[p_message_id]) s;
  end if;
  return next;
end
$body$;
