-- Which version of the code a run is bound to, where a reset or forked run comes from, pauses, and two bounds.

alter table memflow.runs
  add column pinned        boolean not null default false,   -- only workers of this run's version take it
  add column pause_reason  text,
  add column task_timeout  interval,                         -- of one turn
  add column ending_until  timestamptz,                      -- until then senders wait: its end met unread mail, and is tried again
  add column origin_kind   text collate "C",                 -- reset or fork; null: begun by a start
  add column origin_workflow_id text collate "C",
  add column origin_run_id text collate "C",
  add column origin_seq    bigint,                           -- the last entry that was copied from there
  add column origins       text;                             -- a JSON list: whose ids the copied turns were written under

-- A pinned run is claimed under its version, every other under ''. In the key, so that a claim reads only what it may take.
alter table memflow.wakes add column version text collate "C" not null default '';
drop index memflow.wakes_due;
create index wakes_due on memflow.wakes (namespace, queue, version, priority, wake_at) where owner is null and wake_at is not null;

-- When each version first served a queue: the newest that lives there takes new runs.
create table memflow.versions (
  namespace text collate "C" not null,
  queue     text collate "C" not null,
  version   text collate "C" not null,
  since     timestamptz not null,
  primary key (namespace, queue, version)
);

alter table memflow.workers add column version_since timestamptz;
