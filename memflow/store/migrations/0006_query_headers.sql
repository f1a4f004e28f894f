-- A query carries headers, as a start, a signal and an update do.
alter table memflow.questions add column headers text;   -- a JSON object
