-- Version 6 of the schema: which runs' data was inspected after they had ended.

alter table runs add column inspected_at timestamptz;
-- What ended before is as it is: `quantx validate run` looks at it.
update runs set inspected_at = finished_at where finished_at is not null;
create index runs_uninspected on runs (finished_at) where inspected_at is null;
