-- The NOTIFY channel of an ear. Hashed: a channel holds 63 bytes at most, and any role may listen to any channel,
-- so it must tell nothing. The ear names queue:Q, activities:Q, worker:ID, questions:Q, done, reply or event.
create or replace function memflow.channel(namespace text, ear text) returns text
language plpgsql immutable parallel safe
as $body$
begin
  return 'memflow_' || md5(convert_to(jsonb_build_array(memflow.schema_name(), namespace, ear)::text, 'UTF8'));
end
$body$;

-- Ring each ear. A bare notice: it says "look", nothing else. Of several to one ear in a transaction Postgres sends one.
create or replace function memflow.ring(p_namespace text, p_ears text[]) returns void
language plpgsql
as $body$
declare
  v_ear text;
begin
  if p_ears is null then
    return;
  end if;
  if cardinality(p_ears) > 8 then
    p_ears := array(select distinct e from unnest(p_ears) e);   -- a query, but no more than eight notices cost
  end if;
  foreach v_ear in array p_ears loop
    if v_ear is not null then
      perform pg_notify(memflow.channel(p_namespace, v_ear), '');
    end if;
  end loop;
end
$body$;

-- The advisory lock that serialises everything about one signal id.
create or replace function memflow.signal_lock(namespace text, signal_id text) returns bigint
language sql immutable parallel safe
as $body$
  select hashtextextended(jsonb_build_array('signal', memflow.schema_name(), namespace, signal_id)::text, 0)
$body$;

-- The advisory lock that serialises the publishing of events.
create or replace function memflow.events_lock(namespace text) returns bigint
language sql immutable parallel safe
as $body$
  select hashtextextended(jsonb_build_array('events', memflow.schema_name(), namespace)::text, 0)
$body$;

-- Take the locks of several signal ids, in one order everywhere.
create or replace function memflow.lock_signals(p_namespaces text[], p_signal_ids text[]) returns void
language plpgsql
as $body$
begin
  perform pg_advisory_xact_lock(k)
     from (select distinct memflow.signal_lock(u.n, u.s) as k from unnest(p_namespaces, p_signal_ids) u(n, s) order by 1) x;
end
$body$;

-- The advisory lock that a living worker holds on its listening connection.
create or replace function memflow.worker_lock(worker bigint) returns bigint
language sql immutable parallel safe
as $body$
  select hashtextextended(jsonb_build_array('worker', memflow.schema_name(), worker)::text, 0)
$body$;
