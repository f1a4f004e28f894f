-- A payload for people: JSON where it is JSON, else its text, else base64 as a JSON string. Never fails.
create or replace function memflow.payload_to_jsonb(data bytea, encoding text) returns jsonb
language plpgsql immutable parallel safe
as $body$
declare
  found text;
begin
  if data is null then
    return null;
  end if;
  begin
    found := convert_from(data, 'UTF8');
    return found::jsonb;
  exception when others then
    null;   -- no UTF-8, no JSON, or JSON that jsonb cannot hold (NUL, half surrogates)
  end;
  return to_jsonb(coalesce(found, encode(data, 'base64')));
end
$body$;

-- The JSON object in a payload of fields, null if it is none or encrypted.
create or replace function memflow.fields_of(data bytea, encoding text) returns jsonb
language plpgsql immutable parallel safe
as $body$
declare
  found jsonb;
begin
  if data is null or encoding is not null then
    return null;
  end if;
  begin
    found := convert_from(data, 'UTF8')::jsonb;
  exception when others then
    return null;
  end;
  return case jsonb_typeof(found) when 'object' then found end;
end
$body$;

-- What a failure says, for filters. Null for anything that is no failure.
create or replace function memflow.failure_message(data bytea, encoding text) returns text
language sql immutable parallel safe
as $body$
  select case encoding when 'failure' then memflow.payload_to_jsonb(data, encoding) ->> 'message' end
$body$;

-- A number from JSON, null for anything that is none.
create or replace function memflow.number_of(value jsonb) returns numeric
language sql immutable parallel safe
as $body$
  select case jsonb_typeof(value) when 'number' then (value #>> '{}')::numeric end
$body$;
