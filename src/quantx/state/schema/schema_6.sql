-- Version 6 of the schema: which runs' data was inspected after they had ended.
-- expands

alter table runs add column inspected_at timestamptz;
-- Runs that ended before count as inspected: `quantx validate run` checks their data.
update runs set inspected_at = finished_at where finished_at is not null;
create index runs_uninspected on runs (finished_at) where inspected_at is null;
