-- Attempts that are completed from outside, and what operators do to activities.
--
-- Owner 0 is nobody's worker: the attempt's function has returned, and its token stays valid until somebody completes it or
-- its time is up. Then "due" is when that is.
alter table memflow.activities
  add column attempt_by timestamptz,                 -- set: the attempt is open (or judged late); when its start_to_close is up
  add column paused_due timestamptz,                 -- set: paused; when it would be due. Held by nobody it has due = infinity
  add column reset boolean not null default false;   -- the attempts that count begin anew with the next one

create index activities_open on memflow.activities (namespace, queue, due) where owner = 0;
