-- For callers without this library: start a workflow and send a signal from any language, inside any transaction.
--   select memflow.start('order', '["item-123", 5]', workflow_id => 'order-456', task_queue => 'orders');
create or replace function memflow.start(
  workflow text, args jsonb default '[]', workflow_id text default null, task_queue text default 'default',
  namespace text default 'default', on_conflict text default 'fail', reuse text default 'allow', request_id text default null
) returns text
language plpgsql
as $body$
declare
  v_id text := coalesce(workflow_id, gen_random_uuid()::text);
  v_started record;
begin
  if jsonb_typeof(args) <> 'array' then
    raise exception 'args must be a JSON array of arguments, not %', jsonb_typeof(args) using errcode = '22023';
  end if;
  if on_conflict not in ('fail', 'use_existing', 'terminate_existing') or reuse not in ('allow', 'failed_only', 'reject') then
    raise exception 'on_conflict is one of fail, use_existing, terminate_existing; reuse is one of allow, failed_only, reject'
      using errcode = '22023';
  end if;
  select * into v_started
    from memflow.start_runs(
      array[namespace], array[v_id], array[gen_random_uuid()::text], array[workflow], array[task_queue],
      array[convert_to(args::text, 'UTF8')], array[null::text], array[on_conflict], array[reuse], array[request_id],
      array[null::interval], array[null::interval], array[null::interval], array[null::text],
      array[null::bytea], array[null::text], array[null::bytea], array[null::text], array[null::interval], array[0],
      array[null::text], array[null::text], array[null::bytea], array[null::text],
      convert_to('{"kind":"terminated","message":"terminated","facts":{"reason":"replaced by a new start"}}', 'UTF8'));
  if v_started.conflict is not null then
    raise exception 'workflow id % is taken: % (run %)', v_id, v_started.conflict, v_started.run_id using errcode = '23505';
  end if;
  return v_started.run_id;
end
$body$;

-- Send a signal to whoever waits for its id, else keep it: delivered, kept or duplicate.
create or replace function memflow.signal(
  signal_id text, payload jsonb default 'null', namespace text default 'default', request_id text default null
) returns text
language sql
as $body$
  select (memflow.signal_ids(namespace, array[signal_id], array[null::text], array[convert_to(payload::text, 'UTF8')],
                             array[null::interval], array[request_id]))[1]
$body$;

-- Send a signal by name to one workflow: delivered, duplicate, closed or not_found. args is a JSON array, as for start.
create or replace function memflow.signal_workflow(
  workflow_id text, name text, payload jsonb default 'null', namespace text default 'default', run_id text default null,
  request_id text default null
) returns text
language sql
as $body$
  select outcome
    from memflow.send(namespace, array[workflow_id], array[run_id], array['signal_received'], array[null::int],
                      array[jsonb_build_object('name', name)::text], array[null::text],
                      array[convert_to(payload::text, 'UTF8')], array[request_id])
$body$;
