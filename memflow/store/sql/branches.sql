-- name: branch_run :one
-- Reset or fork a run; see functions/17_branch.sql.
select outcome, about, run
  from memflow.branch_run(
    $1::text, $2::text, $3::text, $4::boolean, $5::bigint, $6::int, $7::timestamptz, $8::text, $9::text, $10::text, $11::text,
    $12::boolean, $13::bytea, $14::text, $15::bytea, $16::text,
    $17::int[], $18::text[], $19::text[], $20::timestamptz[], $21::text[], $22::text[], $23::bytea[], $24::text[],
    $25::int[], $26::int[], $27::text[], $28::text[], $29::int[], $30::text[], $31::text[], $32::int[], $33::text[], $34::bytea[],
    $35::text, $36::bytea, $37::bytea, $38::bytea);

-- name: origins :one
-- The JSON list of whose ids a run's copied turns were written under. $1 run
select r.origins, r.search, r.search_encoding, r.memo, r.memo_encoding from memflow.runs r where r.id = $1::bigint;

-- name: pause_run :one
-- Pause or resume; see functions/16_pause.sql. $1 namespace, $2 workflow id, $3 run id or null, $4 pause, $5 reason
select outcome, status from memflow.pause_run($1::text, $2::text, $3::text, $4::boolean, $5::text);

-- name: repin_run :one
-- $1 namespace, $2 workflow id, $3 run id or null, $4 version, null: none
select outcome, status from memflow.repin_run($1::text, $2::text, $3::text, $4::text);
