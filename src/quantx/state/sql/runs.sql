-- name: ended_runs
-- Runs whose last task has ended and which nobody has reported yet.
select id, kind, source, request, created_at, skipped from runs r
where r.finished_at is null
  and not exists (select 1 from tasks t where t.run_id = r.id and t.state in ('pending', 'leased', 'landed'));

-- name: totals
-- A task that was passed on to another vendor is counted there; its requests were made all the same.
select count(*) filter (where not passed_on) as tasks, count(*) filter (where state = 'done') as success,
    count(*) filter (where state = 'failed' and not passed_on) as failed,
    count(*) filter (where passed_on) as passed_on, coalesce(sum(requests), 0)::bigint as requests,
    coalesce(sum(rows_new), 0)::bigint as rows_new, coalesce(sum(rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(rows_same), 0)::bigint as rows_same, coalesce(sum(rows_rejected), 0)::bigint as rows_rejected,
    (select max(r.landed_at) from landings l join raw_objects r on r.id = l.raw_id join tasks t on t.id = l.task_id
     where t.run_id = %(run_id)s and l.malformed is null) as landed_at
from tasks where run_id = %(run_id)s;

-- name: failures
select source, symbol, error_class, last_error, attempts from tasks
where run_id = %(run_id)s and state = 'failed' and not passed_on order by symbol, source;

-- name: report_of
select report from runs where id = %(run_id)s;

-- name: finish
update runs set finished_at = clock_timestamp(), report = %(report)s where id = %(run_id)s and finished_at is null;

-- name: recent
select r.id, r.kind, r.source, r.created_at, r.finished_at, r.skipped, r.report,
    count(t.id) filter (where not t.passed_on) as tasks, count(t.id) filter (where t.state = 'done') as success,
    count(t.id) filter (where t.state = 'failed' and not t.passed_on) as failed,
    coalesce(sum(t.rows_new), 0)::bigint as rows_new, coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(t.rows_rejected), 0)::bigint as rows_rejected
from runs r left join tasks t on t.run_id = r.id group by r.id order by r.created_at desc limit %(most)s;
