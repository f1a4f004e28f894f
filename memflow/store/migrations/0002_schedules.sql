-- Schedules that start runs. The table was there, unused.
alter table memflow.schedules
  add column plan            text not null default '{}',     -- the spec as a JSON object; `spec` says it for people
  add column policy          text not null default '{}',     -- a JSON object
  add column start           text not null default '{}',     -- the run to start, a JSON object
  add column state           text not null default '{}',     -- what it remembers, a JSON object
  add column look_at         timestamptz,                    -- when a worker has to look at it; null: at the end of a run alone
  add column result          bytea,                          -- of the last run that completed
  add column result_encoding text,
  add column failure         bytea,                          -- of the last run, if it failed
  add column failure_encoding text,
  add column edit            uuid,                           -- the last change from outside, to know it again after a lost answer
  add column created_at      timestamptz not null default statement_timestamp(),
  add column updated_at      timestamptz not null default statement_timestamp();

create index schedules_due on memflow.schedules (namespace, look_at) where look_at is not null;

-- Which schedule started a run, and for which instant. No default: the column is added without a rewrite.
alter table memflow.runs
  add column schedule        text collate "C",
  add column scheduled_at    timestamptz;

create index runs_by_schedule on memflow.runs (namespace, schedule, id) where schedule is not null;

-- Runs of schedules that have ended, until a worker has told their schedule.
create table memflow.schedule_ends (
  id        bigint generated always as identity primary key,
  namespace text collate "C" not null,
  schedule  text collate "C" not null,
  run       bigint not null
);

create index schedule_ends_by_schedule on memflow.schedule_ends (namespace, schedule);
