-- name: signal_ids :one
-- Send signals by id; see functions/14_signal.sql.
-- $1 namespace, $2 signal ids, $3 encodings, $4 data, $5 expire, $6 request ids
select memflow.signal_ids($1::text, $2::text[], $3::text[], $4::bytea[], $5::interval[], $6::text[]) as outcomes;
