-- name: send :many
-- Leave messages in inboxes; see functions/13_send.sql.
select outcome, status, chain
  from memflow.send($1::text, $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::bytea[], $9::text[],
                    $10::boolean);

-- name: read_inbox :many
-- Unread mail of runs, in order. $1 runs, $2 after position each, $3 limit
select u.run, m.position, m.kind, m.op, m.attributes, m.encoding, m.data
  from unnest($1::bigint[], $2::bigint[]) u(run, after)
 cross join lateral (
    select i.position, i.kind, i.op, i.attributes, i.encoding, i.data
      from memflow.inbox i
     where i.run = u.run and i.position > u.after
     order by i.position
     limit $3::int) m
 limit $3::int;

-- name: owned_with_mail :many
-- Runs of a worker that are marked: something arrived since their last commit.
select w.run from memflow.wakes w where w.owner = $1::bigint and w.wake_at is not null;
