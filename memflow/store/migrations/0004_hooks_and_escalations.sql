-- Hooks in one run that an operation of another waits for. Gone when answered, or when the run of the hook ends.
create table memflow.hooks (
  id     text collate "C" primary key,
  run    bigint not null,                            -- that it runs in
  caller bigint not null,
  op     int not null                                -- of the caller, that waits
);

create index hooks_by_run on memflow.hooks (run);

-- What people are asked: with a wait of a run, or alone (run is null). Claimed while assigned_until has not come; without
-- that a row that is assigned stays so.
create table memflow.escalations (
  id               uuid primary key default gen_random_uuid(),
  namespace        text collate "C" not null,
  run              bigint,
  op               int,
  signal_id        text collate "C",
  workflow_id      text collate "C",
  run_id           text collate "C",
  workflow         text,
  task_queue       text,
  role             text,
  type             text,
  subtype          text,
  entity           text,
  description      text,
  priority         int not null default 5,           -- lower first
  metadata         jsonb not null default '{}',
  status           text collate "C" not null default 'pending'
                   check (status in ('pending', 'resolved', 'cancelled', 'expired')),
  assigned_to      text,
  assigned_until   timestamptz,
  claimed_at       timestamptz,
  created_by       text,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  closed_at        timestamptz,
  expires_at       timestamptz,                      -- when the wait's time is up; the wait itself sees to it
  payload_encoding text,
  payload          bytea                             -- what it was resolved with
) with (fillfactor = 80);

create index escalations_pending on memflow.escalations (namespace, priority, created_at) where status = 'pending';
create index escalations_by_time on memflow.escalations (namespace, created_at);
create index escalations_by_signal on memflow.escalations (namespace, signal_id) where signal_id is not null;
create index escalations_by_run on memflow.escalations (run) where run is not null;
create index escalations_by_metadata on memflow.escalations using gin (metadata jsonb_path_ops);
create index escalations_ended on memflow.escalations (namespace, closed_at) where status <> 'pending';

-- Of a run's wait: what people are asked. Whoever takes the wait away ends that, in the same transaction.
alter table memflow.signals add column escalation uuid;
