-- The schema's own name, for hashes. Written in when the functions are installed.
create or replace function memflow.schema_name() returns text
language sql immutable parallel safe
as $body$
  select :schema
$body$;
