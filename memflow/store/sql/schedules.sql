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

-- name: finish_schedules :one
-- Write schedules that were served, say of new runs which of them started them, forget the ends that were seen, and tell the time
-- and when the next schedule is due. $1 to $17 as above, but that nobody has changed them from outside; $18 runs, $19 schedules,
-- $20 instants; $21 ends
with saved as (
  update memflow.schedules s
     set spec = u.spec, zone = u.zone, plan = u.plan, policy = u.policy, start = u.start, state = u.state, paused = u.paused,
         next_at = u.next_at, last_at = u.last_at, look_at = u.look_at, result = u.result, result_encoding = u.result_encoding,
         failure = u.failure, failure_encoding = u.failure_encoding
    from unnest(
           $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[], $10::timestamptz[],
           $11::timestamptz[], $12::timestamptz[], $13::bytea[], $14::text[], $15::bytea[], $16::text[], $17::uuid[])
         u(id, spec, zone, plan, policy, start, state, paused, next_at, last_at, look_at, result, result_encoding, failure,
           failure_encoding, edit)
   where s.namespace = $1::text and s.id = u.id
), marked as (
  update memflow.runs r
     set schedule = u.schedule, scheduled_at = u.at
    from unnest($18::bigint[], $19::text[], $20::timestamptz[]) u(run, schedule, at)
   where r.id = u.run
), heard as (
  delete from memflow.schedule_ends e where e.id = any($21::bigint[])
)
select memflow.now() as now,
       least((select min(l.at) from unnest($12::timestamptz[]) l(at)),
             (select s.look_at
                from memflow.schedules s
               where s.namespace = $1::text and s.look_at is not null and s.id <> all($2::text[])
               order by s.look_at
               limit 1)) as look_at;

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

-- name: due_schedules :many
-- Hold up to $2 schedules that are due or have had a run end, but for those that others hold. The columns come from where the row
-- is locked: the same row read again by this statement could be an older version. $1 namespace, $2 limit
with due as materialized (
  select s.id, s.spec, s.zone, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
         s.failure_encoding, s.created_at, s.updated_at, s.edit, memflow.now() as now, s.look_at
    from memflow.schedules s
   where s.namespace = $1::text and s.look_at <= memflow.now()
   order by s.look_at, s.id
   limit $2::int
     for no key update skip locked
), ended as materialized (
  select s.id, s.spec, s.zone, s.plan, s.policy, s.start, s.state, s.paused, s.next_at, s.last_at, s.result, s.result_encoding, s.failure,
         s.failure_encoding, s.created_at, s.updated_at, s.edit, memflow.now() as now, s.look_at
    from memflow.schedules s
   where s.namespace = $1::text
     and s.id = any(array(select distinct e.schedule from memflow.schedule_ends e where e.namespace = $1::text limit $2::int))
     for no key update skip locked
), held as (
  select d.* from due d
   union all
  select e.* from ended e where e.id not in (select d.id from due d)
)
select h.*,
       array(select e.id from memflow.schedule_ends e where e.namespace = $1::text and e.schedule = h.id) as ends
  from held h
 order by h.look_at, h.id;

-- name: next_schedule :one
-- The time, and when the next schedule is due. $1 namespace
select memflow.now() as now,
       (select s.look_at
          from memflow.schedules s
         where s.namespace = $1::text and s.look_at is not null
         order by s.look_at
         limit 1) as look_at;

-- name: scheduled_runs :many
-- How runs stand that schedules watch, each by the last run of its chain. $1 namespace, $2 workflow ids, $3 run ids
select u.run_id, r.id as run, r.status, r.closed_at, r.result, r.result_encoding
  from unnest($2::text[], $3::text[]) u(workflow_id, run_id)
  left join memflow.runs r on r.id = memflow.find_open($1::text, u.workflow_id, u.run_id);

-- name: ring_schedules :exec
-- $1 namespace
select memflow.ring($1::text, '{schedules}');
