-- name: start_runs :many
-- Start many runs; see functions/12_start.sql.
select ord, run, run_id, created, conflict
  from memflow.start_runs(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::interval[], $12::interval[], $13::interval[], $14::text[], $15::bytea[], $16::text[], $17::bytea[], $18::text[],
    $19::interval[], $20::int[], $21::text[], $22::text[], $23::bytea[], $24::text[], $25::bytea,
    $26::interval[]);

-- name: start_and_send :one
-- Start a run, or use the open one, and leave a message in its inbox; see functions/18_start_and_send.sql.
select run, run_id, created, conflict, outcome, status, chain
  from memflow.start_and_send(
    $1::text, $2::text, $3::text, $4::text, $5::text, $6::bytea, $7::text, $8::text, $9::text, $10::text,
    $11::interval, $12::interval, $13::interval, $14::text, $15::bytea, $16::text, $17::bytea, $18::text,
    $19::interval, $20::int, $21::text, $22::text, $23::bytea, $24::text, $25::interval, $26::bytea,
    $27::text, $28::int, $29::text, $30::text, $31::bytea, $32::text);

-- name: claim_runs :many
-- Take due runs; see functions/20_claim.sql. The first row has no run.
-- $1 worker, $2 namespace, $3 queues, $4 limit, $5 token, $6 version, $7 due since, $8 again
select run, crashes, workflow_id, run_id, workflow, task_queue, length, arrived, consumed, turn, started_at, last_at,
       first_arrivals, retries, input, input_encoding, headers, attempt, first_run_id, parent_workflow_id, parent_run_id,
       deadline, deadline_kind, memo, memo_encoding, search, search_encoding, retry, execution_deadline, continued_run_id,
       version, pinned, task_timeout, ending, origins
  from memflow.claim_runs($1::bigint, $2::text, $3::text[], $4::int, $5::uuid, $6::text, $8::boolean, $7::timestamptz);

-- name: terminate_run :one
-- $1 namespace, $2 workflow id, $3 run id or null, $4 attributes, $5 failure, $6 failure of children, $7 encoding of $5
select outcome, status from memflow.terminate_run($1::text, $2::text, $3::text, $4::text, $5::bytea, $6::bytea, $7::text);

-- name: find_run :one
-- $1 namespace, $2 workflow id, $3 run id, or null for the latest
select r.id, r.namespace, r.workflow_id, r.run_id, r.workflow, r.task_queue, r.status, r.detail, r.waiting_at, r.started_at,
       r.closed_at, r.length, r.arrived, r.consumed, w.owner, w.wake_at, r.parent_workflow_id, r.parent_run_id, r.first_run_id,
       r.next_run_id, r.attempt, r.input, r.input_encoding, r.result, r.result_encoding, c.doc::text as record,
       coalesce(r.memo_now, r.memo) as memo,
       case when r.memo_now is null then r.memo_encoding else r.memo_now_encoding end as memo_encoding, r.headers,
       r.schedule, r.scheduled_at,
       r.version, r.pinned, r.pause_reason, r.task_timeout, r.origin_kind, r.origin_workflow_id, r.origin_run_id, r.origin_seq,
       r.continued_run_id, coalesce(w.wake_at <= memflow.now(), false) as due,
       r.status = 'running' and coalesce(r.deadline <= memflow.now(), false) as late,
       r.pinned and not exists (
         select 1 from memflow.workers k
          where k.namespace = r.namespace and k.version = r.version and r.task_queue = any(k.queues)
            and k.seen + k.lease > clock_timestamp()) as unserved
  from memflow.runs r
  left join memflow.wakes w on w.run = r.id
  left join memflow.records c on c.run = r.id
 where r.id = memflow.find_run($1::text, $2::text, $3::text);

-- name: run_ids :many
-- What names these runs: asked by those who read payloads that are bound to it.
select r.id, r.workflow_id, r.run_id, r.first_run_id, r.headers, r.origins from memflow.runs r where r.id = any($1::bigint[]);
-- name: facts_of :one
-- What a rebuild needs besides the row and the journal: as given at the start. $1 run
select r.headers, r.continued_run_id, r.search, r.search_encoding, r.memo, r.memo_encoding, r.origins
  from memflow.runs r
 where r.id = $1::bigint;

-- name: outcomes :many
-- How these runs ended, of those that have; and which are running although their time is up.
select r.id, r.status, r.result, r.result_encoding, r.next_run_id
  from memflow.runs r
 where r.id = any($1::bigint[])
   and (r.status not in ('running', 'paused') or (r.status = 'running' and r.deadline <= memflow.now()));

-- name: left_overdue :one
-- $1 namespace, $2 how many of each queue
select memflow.left_overdue($1::text, $2::int) as runs;

-- name: time_out_runs :one
-- $1 namespace, $2 runs, $3 kinds, $4 attributes and $5 failures by kind, $6 failure of children
select memflow.time_out_runs($1::text, $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::bytea) as ended;

-- name: commit_turns :one
-- Make turns durable; see functions/30_commit.sql.
select outcomes, arrived, released
  from memflow.commit_turns(
    $1::bigint, $2::text,
    $3::text::bigint[], $4::uuid[], $5::text::bigint[], $6::text::bigint[], $7::text::boolean[], $8::text::boolean[],
    $9::timestamptz[], $10::text::boolean[], $11::text::text[], $12::bytea[], $13::text[], $14::text[], $15::text[],
    $16::text::int[], $17::text::int[], $18::text::int[], $19::timestamptz[],
    $20::text::int[], $21::text::bigint[], $22::text::int[], $23::timestamptz[], $24::text::text[], $25::text::int[], $26::text[],
    $27::text[], $28::bytea[],
    $29::int[], $30::int[], $31::text[], $32::text[], $33::timestamptz[], $34::uuid[], $35::int[], $36::timestamptz[],
    $37::timestamptz[], $38::text[], $39::text[], $40::bytea[], $41::text[], $42::bytea[], $43::text[], $44::bytea[],
    $45::text[],
    $46::int[], $47::int[], $48::boolean[], $49::bytea,
    $50::int[], $51::text[], $52::int[], $53::text[], $54::text[], $55::text[], $56::text[], $57::text[], $58::bytea[],
    $59::bytea);

-- name: commit_step :one
-- Make one turn durable that only adds to its journal; see functions/34_commit_steps.sql.
select arrived
  from memflow.commit_step(
    $1::bigint, $2::bigint, $3::uuid, $4::bigint, $5::bigint, $6::int, $7::timestamptz, $8::text::text[], $9::text::int[],
    $10::text[], $11::text[], $12::bytea[]);

-- name: commit_steps :one
-- Make turns durable that only add to their journal; see functions/34_commit_steps.sql.
select members, arrived
  from memflow.commit_steps(
    $1::bigint, $2::text::bigint[], $3::uuid[], $4::text::bigint[], $5::text::bigint[], $6::text::int[], $7::text::int[],
    $8::timestamptz[], $9::text::int[], $10::text::bigint[], $11::text::int[], $12::timestamptz[], $13::text::text[],
    $14::text::int[], $15::text[], $16::text[], $17::bytea[]);

-- name: commit_end :one
-- Make one turn durable that ends its run and leaves nothing behind; see functions/35_commit_ends.sql.
select done
  from memflow.commit_end(
    $1::bigint, $2::text, $3::bigint, $4::uuid, $5::bigint, $6::bigint, $7::text, $8::bytea, $9::text, $10::int, $11::timestamptz,
    $12::text::int[], $13::timestamptz[], $14::text::text[], $15::text::int[], $16::text[], $17::text[], $18::bytea[]);

-- name: commit_ends :one
-- Make turns durable that end their runs and leave nothing behind; see functions/35_commit_ends.sql.
select members
  from memflow.commit_ends(
    $1::bigint, $2::text, $3::text::bigint[], $4::uuid[], $5::text::bigint[], $6::text::bigint[], $7::text::text[],
    $8::bytea[], $9::text[], $10::text::int[], $11::text::int[], $12::timestamptz[],
    $13::text::int[], $14::text::bigint[], $15::text::int[], $16::timestamptz[], $17::text::text[], $18::text::int[],
    $19::text[], $20::text[], $21::bytea[]);

-- name: committed :many
-- What became of a commit whose answer was lost: where each run stands, and whose entry is the last of its journal.
-- $1 runs
select r.id, r.length, r.arrived, r.status, w.owner, w.token, j.token as last_token
  from memflow.runs r
  left join memflow.wakes w on w.run = r.id
  left join memflow.journal j on j.run = r.id and j.seq = r.length
 where r.id = any($1::bigint[]);
