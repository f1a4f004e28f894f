-- The one clock in SQL. Stable and inlined, so that an index serves comparisons with it. Tests replace it in a
-- schema of their own to skip time; nothing a session can set moves it.
create or replace function memflow.now() returns timestamptz
language sql stable parallel safe
as 'select statement_timestamp()';
