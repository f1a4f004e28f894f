-- Leave arrivals in the inboxes of open runs, mark those runs as due, and tell which ears to ring. Several for one run
-- keep their order. The caller holds the lock of every run's row and knows that it is open: under that lock positions
-- are dense and in commit order, so that "read after the last one I saw" skips nothing.
create or replace function memflow.deliver(
  d_run bigint[], d_kind text[], d_op int[], d_attributes text[], d_encoding text[], d_data bytea[], d_dedupe text[]
) returns text[]
language plpgsql
as $body$
declare
  v_runs bigint[];
  v_counts bigint[];
  v_bases bigint[];
  v_not_before timestamptz[];
  v_paused boolean[];
  v_ears text[];
begin
  select array_agg(x.run order by x.run), array_agg(x.n order by x.run)
    into v_runs, v_counts
    from (select u.run, count(*) as n from unnest(d_run) u(run) group by u.run) x;
  if v_runs is null then
    return '{}';
  end if;
  with moved as (
    update memflow.runs r
       set arrived = r.arrived + u.n
      from unnest(v_runs, v_counts) u(run, n)
     where r.id = u.run
    returning r.id, r.arrived - u.n as base, case when r.length = 0 and r.attempt > 1 then r.last_at end as not_before,
              r.status = 'paused' as paused
  )
  select array_agg(m.base order by m.id), array_agg(m.not_before order by m.id), array_agg(m.paused order by m.id)
    into v_bases, v_not_before, v_paused
    from moved m;
  insert into memflow.inbox (run, position, at, op, kind, attributes, encoding, data, dedupe)
  select u.run,
         v_bases[dense_rank() over (order by u.run)] + row_number() over (partition by u.run order by u.ord),
         memflow.now(), u.op, u.kind, u.attributes, u.encoding, u.data, u.dedupe
    from unnest(d_run, d_kind, d_op, d_attributes, d_encoding, d_data, d_dedupe)
         with ordinality u(run, kind, op, attributes, encoding, data, dedupe, ord);
  -- Always written, due already or not: a claim under way takes the mark away after we would have looked at it.
  with woken as (
    update memflow.wakes w
       set wake_at = case when u.paused and w.owner is null then null     -- it waits until the run is resumed
                          else greatest(memflow.now(), u.not_before) end -- mail does not hasten the next attempt of a run that failed
      from unnest(v_runs, v_not_before, v_paused) u(run, not_before, paused)
     where w.run = u.run
    returning w.owner, w.queue
  )
  select array_agg(distinct case when w.owner is null then 'queue:' || w.queue else 'worker:' || w.owner end)
    into v_ears
    from woken w;
  return coalesce(v_ears, '{}');
end
$body$;
