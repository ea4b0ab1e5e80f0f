-- name: bound_lake
select id from lake;

-- name: bind_lake
-- Remember the lake on first use; returns the one that is remembered.
with bound as (
    insert into lake (id, state_id) select %(id)s, %(state_id)s where not exists (select 1 from lake)
    on conflict do nothing returning id, state_id
)
select id, state_id from bound union all select id, state_id from lake;

-- name: add_run
insert into runs (id, kind, source, request, skipped) values (%(id)s, %(kind)s, %(source)s, %(request)s, %(skipped)s);

-- name: runs_to_report
-- Runs whose last task has ended and which nobody has reported yet.
select id, kind, source, request, created_at, skipped from runs r
where r.finished_at is null
  and not exists (select 1 from tasks t where t.run_id = r.id and t.state in ('pending', 'leased', 'landed'));

-- name: run_totals
select count(*) as tasks, count(*) filter (where state = 'done') as success,
    count(*) filter (where state = 'failed') as failed, coalesce(sum(requests), 0)::bigint as requests,
    coalesce(sum(rows_new), 0)::bigint as rows_new, coalesce(sum(rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(rows_same), 0)::bigint as rows_same, coalesce(sum(rows_rejected), 0)::bigint as rows_rejected
from tasks where run_id = %(run_id)s;

-- name: run_failures
select symbol, error_class, last_error, attempts from tasks where run_id = %(run_id)s and state = 'failed' order by symbol;

-- name: report_of
select report from runs where id = %(run_id)s;

-- name: finish_run
update runs set finished_at = clock_timestamp(), report = %(report)s where id = %(run_id)s and finished_at is null;

-- name: recent_runs
select r.id, r.kind, r.source, r.created_at, r.finished_at, r.skipped, r.report,
    count(t.id) as tasks, count(t.id) filter (where t.state = 'done') as success,
    count(t.id) filter (where t.state = 'failed') as failed,
    coalesce(sum(t.rows_new), 0)::bigint as rows_new, coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(t.rows_rejected), 0)::bigint as rows_rejected
from runs r left join tasks t on t.run_id = r.id group by r.id order by r.created_at desc limit %(most)s;
