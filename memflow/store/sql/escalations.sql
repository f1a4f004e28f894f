-- name: list_escalations :many
-- Escalations that match. Each condition is left out where its parameter is null.
-- $1 namespace, $2 roles, $3 type, $4 subtype, $5 entity, $6 statuses, $7 assigned_to, $8 workflow_id, $9 signal_id,
-- $10 available, $11 priority, $12 metadata, $13 ids, $14 order, $15 descending, $16 limit, $17 offset
select e.id, e.signal_id, e.workflow_id, e.run_id, e.workflow, e.task_queue, e.role, e.type, e.subtype, e.entity, e.description,
       e.priority, e.metadata::text as metadata, e.status, e.assigned_to, e.assigned_until, e.claimed_at, e.created_by, e.created_at,
       e.updated_at, e.closed_at, e.expires_at, e.payload, e.payload_encoding,
       e.status = 'pending' and (e.assigned_to is null or coalesce(e.assigned_until <= memflow.now(), false)) as available
  from memflow.escalations e
 where e.namespace = $1::text
   and ($2::text[] is null or e.role = any($2::text[]))
   and ($3::text is null or e.type = $3::text)
   and ($4::text is null or e.subtype = $4::text)
   and ($5::text is null or e.entity = $5::text)
   and ($6::text[] is null or e.status = any($6::text[]))
   and ($7::text is null or e.assigned_to = $7::text)
   and ($8::text is null or e.workflow_id = $8::text)
   and ($9::text is null or e.signal_id = $9::text)
   and ($10::boolean is null or $10::boolean
        = (e.status = 'pending' and (e.assigned_to is null or coalesce(e.assigned_until <= memflow.now(), false))))
   and ($11::int is null or e.priority = $11::int)
   and ($12::text is null or e.metadata @> $12::text::jsonb)
   and ($13::uuid[] is null or e.id = any($13::uuid[]))
 order by case when $14::text = 'priority' and not $15::boolean then e.priority end,
          case when $14::text = 'priority' and $15::boolean then e.priority end desc,
          case when $14::text = 'updated_at' and not $15::boolean then e.updated_at end,
          case when $14::text = 'updated_at' and $15::boolean then e.updated_at end desc,
          case when $14::text = 'created_at' and not $15::boolean then e.created_at end,
          e.created_at desc, e.id
 limit $16::int offset $17::int;

-- name: count_escalations :one
-- How many match; parameters as for list_escalations.
select count(*) as count
  from memflow.escalations e
 where e.namespace = $1::text
   and ($2::text[] is null or e.role = any($2::text[]))
   and ($3::text is null or e.type = $3::text)
   and ($4::text is null or e.subtype = $4::text)
   and ($5::text is null or e.entity = $5::text)
   and ($6::text[] is null or e.status = any($6::text[]))
   and ($7::text is null or e.assigned_to = $7::text)
   and ($8::text is null or e.workflow_id = $8::text)
   and ($9::text is null or e.signal_id = $9::text)
   and ($10::boolean is null or $10::boolean
        = (e.status = 'pending' and (e.assigned_to is null or coalesce(e.assigned_until <= memflow.now(), false))))
   and ($11::int is null or e.priority = $11::int)
   and ($12::text is null or e.metadata @> $12::text::jsonb)
   and ($13::uuid[] is null or e.id = any($13::uuid[]));

-- name: create_escalation :one
-- One that no run waits for. $1 namespace, $2 as the journal has it: a JSON object
insert into memflow.escalations (
  namespace, role, type, subtype, entity, description, priority, metadata, assigned_to, created_by, created_at, updated_at)
select $1::text, a.about ->> 'role', a.about ->> 'type', a.about ->> 'subtype', a.about ->> 'entity', a.about ->> 'description',
       (a.about ->> 'priority')::int, coalesce(a.about -> 'metadata', '{}'), a.about ->> 'assigned_to', a.about ->> 'created_by',
       memflow.now(), memflow.now()
  from (select $2::text::jsonb as about) a
returning id;

-- name: claim_escalation :one
-- Take one, or hold it longer. $1 namespace, $2 id, $3 assignee, $4 for how long, $5 metadata to merge
update memflow.escalations e
   set claimed_at = case when e.assigned_to = $3::text and e.assigned_until > memflow.now() then e.claimed_at else memflow.now() end,
       assigned_to = $3::text, assigned_until = memflow.now() + $4::interval, updated_at = memflow.now(),
       metadata = e.metadata || coalesce($5::text::jsonb, '{}')
 where e.namespace = $1::text and e.id = $2::uuid and e.status = 'pending'
   and (e.assigned_to is null or e.assigned_to = $3::text or e.assigned_until <= memflow.now())
returning e.id;

-- name: claim_escalation_by_metadata :one
-- Take the most urgent that matches and is free, or that this person holds. Those that others are taking are passed over.
-- $1 namespace, $2 metadata it has, $3 assignee, $4 for how long, $5 roles, $6 metadata to merge
with free as materialized (
  select e.id
    from memflow.escalations e
   where e.namespace = $1::text and e.status = 'pending' and e.metadata @> $2::text::jsonb
     and ($5::text[] is null or e.role = any($5::text[]))
     and (e.assigned_to is null or e.assigned_to = $3::text or e.assigned_until <= memflow.now())
   order by e.priority, e.created_at, e.id
   limit 1
     for update skip locked
)
update memflow.escalations e
   set claimed_at = case when e.assigned_to = $3::text and e.assigned_until > memflow.now() then e.claimed_at else memflow.now() end,
       assigned_to = $3::text, assigned_until = memflow.now() + $4::interval, updated_at = memflow.now(),
       metadata = e.metadata || coalesce($6::text::jsonb, '{}')
  from free
 where e.id = free.id
returning e.id;

-- name: release_escalation :one
-- Give one back. $1 namespace, $2 id, $3 assignee, or null: whoever holds it
update memflow.escalations e
   set assigned_to = null, assigned_until = null, claimed_at = null, updated_at = memflow.now()
 where e.namespace = $1::text and e.id = $2::uuid and e.status = 'pending'
   and ($3::text is null or e.assigned_to = $3::text)
returning e.id;

-- name: update_escalation :one
-- Change what is given; a new role takes it from whoever holds it. $1 namespace, $2 id, $3 role, $4 priority, $5 description,
-- $6 metadata to merge
update memflow.escalations e
   set role = coalesce($3::text, e.role), priority = coalesce($4::int, e.priority),
       description = coalesce($5::text, e.description), metadata = e.metadata || coalesce($6::text::jsonb, '{}'),
       assigned_to = case when $3::text is null then e.assigned_to end,
       assigned_until = case when $3::text is null then e.assigned_until end,
       claimed_at = case when $3::text is null then e.claimed_at end,
       updated_at = memflow.now()
 where e.namespace = $1::text and e.id = $2::uuid and e.status = 'pending'
returning e.id;

-- name: settle_escalations :one
-- Resolve or cancel; see functions/16_escalations.sql.
select memflow.settle_escalations($1::text, $2::uuid[], $3::text, $4::text[], $5::bytea[], $6::text, $7::text::jsonb, $8::boolean)
       as outcomes;

-- name: escalation_statuses :many
-- $1 namespace, $2 ids
select e.id, e.status, e.assigned_to from memflow.escalations e where e.namespace = $1::text and e.id = any($2::uuid[]);

-- name: escalation_stats :many
-- Pending and claimed now, created and resolved since $2, by role and type. $1 namespace, $2 period, $3 roles
select e.role, e.type,
       count(*) filter (where e.status = 'pending') as pending,
       count(*) filter (where e.status = 'pending' and e.assigned_to is not null
                          and (e.assigned_until is null or e.assigned_until > memflow.now())) as claimed,
       count(*) filter (where e.created_at >= memflow.now() - $2::interval) as created,
       count(*) filter (where e.status = 'resolved' and e.closed_at >= memflow.now() - $2::interval) as resolved
  from memflow.escalations e
 where e.namespace = $1::text and ($3::text[] is null or e.role = any($3::text[]))
   and (e.status = 'pending' or e.created_at >= memflow.now() - $2::interval or e.closed_at >= memflow.now() - $2::interval)
 group by e.role, e.type;

-- name: escalation_types :many
-- $1 namespace
select distinct e.type from memflow.escalations e where e.namespace = $1::text and e.type is not null order by e.type;

-- name: prune_escalations :many
-- Delete some that ended before a time. $1 namespace, $2 age, $3 statuses, $4 limit
delete from memflow.escalations e
 where e.id in (
   select k.id
     from memflow.escalations k
    where k.namespace = $1::text and k.status <> 'pending' and k.status = any($3::text[])
      and k.closed_at <= memflow.now() - $2::interval
    order by k.closed_at
    limit $4::int
      for update skip locked)
returning e.id;
