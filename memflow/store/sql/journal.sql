-- name: load_journals :many
-- The entries of runs after a seq each; what lies on the run's row is put back. Lateral, so that no statistics are needed for
-- a plan that goes by the key.
-- $1 runs, $2 after seq each
select u.run, e.seq, e.turn, e.at, e.kind, e.op, e.attributes, e.encoding, e.data
  from unnest($1::bigint[], $2::bigint[]) u(run, after)
 cross join lateral (
    select r.input, r.input_encoding, r.result, r.result_encoding from memflow.runs r where r.id = u.run limit 1) r
 cross join lateral (
    select j.seq, j.turn, j.at, j.kind, j.op, j.attributes,
           case when j.kind = 'run_started' then r.input_encoding
                when j.kind in ('complete', 'fail', 'cancelled') then r.result_encoding else j.encoding end as encoding,
           case when j.kind = 'run_started' then r.input
                when j.kind in ('complete', 'fail', 'cancelled') then r.result else j.data end as data
      from memflow.journal j
     where j.run = u.run and j.seq > u.after
     order by j.seq
    offset 0) e;
