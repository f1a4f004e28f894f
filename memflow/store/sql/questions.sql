-- name: ask_question :one
-- Leave a query for a worker; see functions/15_questions.sql.
select memflow.ask_question($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bytea, $8::text) as asked;

-- name: take_questions :many
-- Take queries that can be answered now. A run that has begun is asked when it has read what came before the question; who
-- has it in memory is preferred for a second. A question that was taken and not answered in 5 s is free again; nobody waits
-- for one that is older than a minute. There is always a first row: it tells how many cannot be answered yet.
-- A pinned run is asked by workers of its version.
-- $1 worker, $2 namespace, $3 queues, $4 workflow types (* is any), $5 limit, $6 version
with found as materialized (
  select q.id,
         (r.status not in ('running', 'paused') or (r.status = 'paused' and r.length > 0) or (r.length > 0 and r.consumed >= q.arrived))
           and (coalesce(w.owner, w.prefers, $1::bigint) = $1 or q.asked_at < memflow.now() - interval '1 second') as ready
    from memflow.questions q
    join memflow.runs r on r.id = q.run
    left join memflow.wakes w on w.run = r.id
   where q.namespace = $2::text and q.outcome is null and q.asked_at > memflow.now() - interval '1 minute'
     and (q.taken_at is null or q.taken_at < memflow.now() - interval '5 seconds')
     and r.task_queue = any($3::text[]) and (r.workflow = any($4::text[]) or '*' = any($4::text[]))
     and (not r.pinned or r.version = $6::text)
   order by q.asked_at, q.id
   limit $5::int
     for update of q skip locked
), taken as (
  update memflow.questions q
     set taken_at = memflow.now()
    from found f
   where q.id = f.id and f.ready
  returning q.id, q.run, q.name, q.encoding, q.data, q.headers
)
select p.pending, t.id, t.name, t.encoding, t.data, t.run, r.workflow_id, r.run_id, r.workflow, r.task_queue, r.length,
       r.started_at, r.headers, r.attempt, r.first_run_id, r.parent_workflow_id, r.parent_run_id,
       r.continued_run_id, r.memo, r.memo_encoding, r.search, r.search_encoding, r.origins, t.headers as asked_headers
  from (select count(*) filter (where not f.ready) as pending from found f) p
  left join taken t on true
  left join memflow.runs r on r.id = t.run;

-- name: answer_questions :exec
-- Answer queries; see functions/15_questions.sql.
select memflow.answer_questions($1::text, $2::uuid[], $3::text[], $4::text[], $5::bytea[]);

-- name: answers :many
-- Those of these queries that are answered.
select q.id, q.outcome, q.answer_encoding, q.answer from memflow.questions q where q.id = any($1::uuid[]) and q.outcome is not null;

-- name: knows_update :one
-- Whether an update was ever sent. $1 namespace, $2 chain, $3 update id
select exists (select from memflow.requests q where q.namespace = $1::text and q.scope = $2::text and q.request_id = 'update:' || $3::text)
    or exists (select from memflow.replies r where r.namespace = $1::text and r.scope = $2::text and r.update_id = $3::text) as known;

-- name: replies :many
-- How far updates are, in the order given, and whether there is still a run to answer them.
-- $1 namespace, $2 workflow ids, $3 chains, $4 update ids
select q.outcome, q.encoding, q.data, coalesce(r.status in ('running', 'paused'), false) as open
  from unnest($2::text[], $3::text[], $4::text[]) with ordinality u(workflow_id, chain, update_id, ord)
  left join memflow.replies q on q.namespace = $1::text and q.scope = u.chain and q.update_id = u.update_id
  left join memflow.runs r
    on r.namespace = $1::text and r.workflow_id = u.workflow_id and r.slot = 0 and r.first_run_id = u.chain
 order by u.ord;
