-- What the winners of a commit answer to updates. Of several answers to one update the last counts.
create or replace function memflow.commit_replies(
  p_namespace text, p_run bigint[], p_won boolean[], e_member int[], e_what text[], e_name text[], e_attributes text[],
  e_encoding text[], e_data bytea[]
) returns text[]
language plpgsql
as $body$
begin
  insert into memflow.replies as q (namespace, scope, update_id, outcome, encoding, data)
  select distinct on (r.first_run_id, e.name)
         p_namespace, r.first_run_id, e.name, e.attributes, e.encoding, e.data
    from unnest(e_member, e_what, e_name, e_attributes, e_encoding, e_data)
         with ordinality e(member, what, name, attributes, encoding, data, ord)
    join memflow.runs r on r.id = p_run[e.member]
   where e.what = 'answer' and p_won[e.member]
   order by r.first_run_id, e.name, e.ord desc
      on conflict (namespace, scope, update_id)
      do update set outcome = excluded.outcome, encoding = excluded.encoding, data = excluded.data;
  return case when found then array['reply'] else '{}' end;
end
$body$;
