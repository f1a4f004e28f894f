-- name: create_schedule :one
-- A new schedule; no row where there is one of that id. $1 namespace, $2 id, then the columns of a schedule
insert into memflow.schedules (
  namespace, id, spec, zone, plan, policy, start, state, paused, next_at, last_at, look_at, result, result_encoding, failure,
  failure_encoding, edit, created_at, updated_at)
values (
  $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::boolean, $10::timestamptz, $11::timestamptz,
  $12::timestamptz, $13::bytea, $14::text, $15::bytea, $16::text, $17::uuid, memflow.now(), memflow.now())
    on conflict do nothing
returning id;

-- name: save_schedules :exec
-- Write schedules whose rows the caller holds. $1 namespace, $2 ids, then the columns of a schedule, $17 the change from outside
update memflow.schedules s
   set spec = u.spec, zone = u.zone, plan = u.plan, policy = u.policy, start = u.start, state = u.state, paused = u.paused,
       next_at = u.next_at, last_at = u.last_at, look_at = u.look_at, result = u.result, result_encoding = u.result_encoding,
       failure = u.failure, failure_encoding = u.failure_encoding, edit = coalesce(u.edit, s.edit),
       updated_at = case when u.edit is null then s.updated_at else memflow.now() end
  from unnest(
         $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[], $10::timestamptz[],
         $11::timestamptz[], $12::timestamptz[], $13::bytea[], $14::text[], $15::bytea[], $16::text[], $17::uuid[])
       u(id, spec, zone, plan, policy, start, state, paused, next_at, last_at, look_at, result, result_encoding, failure,
         failure_encoding, edit)
 where s.namespace = $1::text and s.id = u.id;

-- name: find_schedule :one
-- $1 namespace, $2 id
select s.id, s.spec, s.zone, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
       s.failure_encoding, s.created_at, s.updated_at, s.edit, memflow.now() as now
  from memflow.schedules s
 where s.namespace = $1::text and s.id = $2::text;

-- name: hold_schedule :one
-- One schedule, for the rest of the transaction nobody else's. $1 namespace, $2 id
select s.id, s.spec, s.zone, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
       s.failure_encoding, s.created_at, s.updated_at, s.edit, memflow.now() as now
  from memflow.schedules s
 where s.namespace = $1::text and s.id = $2::text
   for no key update;

-- name: list_schedules :many
-- $1 namespace, $2 after this id, $3 limit
select s.id, s.spec, s.zone, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
       s.failure_encoding, s.created_at, s.updated_at, s.edit, memflow.now() as now
  from memflow.schedules s
 where s.namespace = $1::text and ($2::text is null or s.id > $2::text)
 order by s.id
 limit $3::int;

-- name: delete_schedule :one
-- $1 namespace, $2 id
with gone as (
  delete from memflow.schedules s where s.namespace = $1::text and s.id = $2::text returning s.id
), told as (
  delete from memflow.schedule_ends e using gone g where e.namespace = $1::text and e.schedule = g.id
)
select g.id from gone g;

-- name: look_at_schedules :many
-- What is to be done about schedules; see functions/18_schedules.sql. The first row has no schedule. $1 namespace, $2 limit, $3 hold
select id, plan, policy, start, state, paused, next_at, last_at, result, result_encoding, failure, failure_encoding, created_at,
       updated_at, version, now, look_at, ends, ended_runs, ended_status, ended_at, ended_result, ended_encoding
  from memflow.look_at_schedules($1::text, $2::int, $3::boolean);

-- name: serve_schedules :one
-- Do what was decided; see functions/18_schedules.sql. $1 namespace, $2 to $12 the schedules, $13 ends, $14 to $19 whom to stop,
-- $20 and $21 who takes what is started, $22 to $38 the runs, $39 and $40 the schedule and the instant of each
select outcome, taken, now, look_at, runs, deadlines, execution_deadlines
  from memflow.serve_schedules(
    $1::text,
    $2::text[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::bytea[],
    $10::text[], $11::bytea[], $12::text[],
    $13::bigint[],
    $14::text[], $15::text, $16::bytea, $17::bytea, $18::text[], $19::text,
    $20::bigint, $21::uuid,
    $22::text[], $23::text[], $24::text[], $25::text[], $26::bytea[], $27::text[], $28::interval[], $29::interval[], $30::text[],
    $31::bytea[], $32::text[], $33::bytea[], $34::text[], $35::interval[], $36::int[], $37::text[], $38::interval[],
    $39::text[], $40::timestamptz[]);

-- name: open_runs_of :many
-- Those runs of a schedule that are open, each by the last run of its chain. $1 namespace, $2 workflow ids, $3 run ids
select u.run_id
  from unnest($2::text[], $3::text[]) u(workflow_id, run_id)
  join memflow.runs r on r.id = memflow.find_open($1::text, u.workflow_id, u.run_id)
 where r.status in ('running', 'paused');

-- name: ring_schedules :exec
-- $1 namespace
select memflow.ring($1::text, '{schedules}');
