-- name: load_journals :many
-- The entries of runs after a seq each; what lies on the run's row is put back.
-- $1 runs, $2 after seq each
select j.run, j.seq, j.turn, j.at, j.kind, j.op, j.attributes,
       case when j.kind = 'run_started' then r.input_encoding
            when j.kind in ('complete', 'fail', 'cancelled') then r.result_encoding else j.encoding end as encoding,
       case when j.kind = 'run_started' then r.input
            when j.kind in ('complete', 'fail', 'cancelled') then r.result else j.data end as data
  from unnest($1::bigint[], $2::bigint[]) u(run, after)
  join memflow.runs r on r.id = u.run
  join memflow.journal j on j.run = u.run and j.seq > u.after
 order by j.run, j.seq;
