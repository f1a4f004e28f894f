-- Functions and views are replaced as a whole: what an older library left behind may have other results, which
-- "create or replace" refuses. No table depends on them, so nothing else goes with them; if one ever did, this would fail.
do $body$
declare
  v_drop text;
begin
  for v_drop in
    select format('drop view %I.%I cascade', v.schemaname, v.viewname) from pg_catalog.pg_views v where v.schemaname = :schema
  loop
    execute replace(v_drop, 'drop view', 'drop view if exists');
  end loop;
  for v_drop in
    select format('drop function %s', p.oid::regprocedure)
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname = :schema and p.prokind = 'f'
  loop
    execute v_drop;
  end loop;
end
$body$;
