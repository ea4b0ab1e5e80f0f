-- name: ended_runs
-- Runs whose last task has ended and that have no report.
select id, kind, source, request, created_at, skipped from runs r
where r.finished_at is null
  and not exists (select 1 from tasks t where t.run_id = r.id and t.state in ('pending', 'leased', 'landed'));

-- name: totals
-- A task that was passed on to another vendor is counted there; its requests count here.
select count(*) filter (where not passed_on) as tasks, count(*) filter (where state = 'done') as success,
    count(*) filter (where state = 'failed' and not passed_on) as failed,
    count(*) filter (where passed_on) as passed_on,
    count(distinct symbol) filter (where not passed_on) as symbols, coalesce(sum(requests), 0)::bigint as requests,
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

-- name: uninspected
-- Reported runs without an inspection since, and the symbols of their tasks; members of archives are no symbols.
select r.id, coalesce(array_agg(distinct t.symbol) filter (where t.symbol is not null), '{}') as symbols
from runs r left join tasks t on t.run_id = r.id and t.dataset <> 'option_members'
where r.finished_at is not null and r.inspected_at is null group by r.id order by r.id;

-- name: minute_windows
select symbol, min(window_start) as first, max(window_end) as last
from tasks where run_id = any(%(run_ids)s::text[]) and dataset = 'bars' and timeframe = '1m' group by symbol;

-- name: inspected
update runs set inspected_at = clock_timestamp() where id = any(%(run_ids)s::text[]) and inspected_at is null;

-- name: recent
-- The newest runs; with `before`, those that were planned before that one. Only the tasks of these are counted.
with r as (
    select id, kind, source, created_at, finished_at, skipped, report from runs
    where (%(kind)s::text is null or kind = %(kind)s)
      and (%(before)s::text is null
           or (created_at, id) < (select b.created_at, b.id from runs b where b.id = %(before)s))
    order by created_at desc, id desc limit %(most)s
)
select r.id, r.kind, r.source, r.created_at, r.finished_at, r.skipped, r.report,
    count(t.id) filter (where not t.passed_on) as tasks, count(t.id) filter (where t.state = 'done') as success,
    count(t.id) filter (where t.state = 'failed' and not t.passed_on) as failed,
    coalesce(sum(t.rows_new), 0)::bigint as rows_new, coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(t.rows_rejected), 0)::bigint as rows_rejected
from r left join tasks t on t.run_id = r.id
group by r.id, r.kind, r.source, r.created_at, r.finished_at, r.skipped, r.report
order by r.created_at desc, r.id desc;

-- name: find
select r.id, r.kind, r.source, r.request, r.created_at, r.finished_at, r.skipped, r.report,
    count(t.id) filter (where not t.passed_on) as tasks, count(t.id) filter (where t.state = 'done') as success,
    count(t.id) filter (where t.state = 'failed' and not t.passed_on) as failed,
    count(t.id) filter (where t.state in ('pending', 'leased', 'landed')) as unfinished,
    coalesce(sum(t.rows_new), 0)::bigint as rows_new, coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
    coalesce(sum(t.rows_rejected), 0)::bigint as rows_rejected
from runs r left join tasks t on t.run_id = r.id where r.id = %(run_id)s group by r.id;

-- name: last_daily
-- The last daily run of each whole enabled universe, also where it planned no task.
select u.name as universe, u.market, max(r.created_at) as planned_at
from universes u
left join runs r on r.kind = 'daily' and not r.request ? 'symbols'
    and coalesce(r.request ->> 'universe', u.name) = u.name and coalesce(r.request ->> 'phase', u.phase) = u.phase
where u.members > 0 and u.enabled
group by u.name order by u.phase, u.name;

-- name: usage
-- The usage of the reported runs of a kind: the measured part of a cost estimate.
with chosen as (
    select id, extract(epoch from finished_at - created_at)::double precision as seconds from runs
    where kind = %(kind)s and finished_at is not null and created_at > clock_timestamp() - make_interval(days => %(days)s)
), fetched as (
    select count(*) as tasks, coalesce(sum(t.requests), 0)::bigint as requests
    from tasks t join chosen c on c.id = t.run_id
), kept as (
    select count(distinct l.raw_id) as batches, coalesce(sum(l.bytes), 0)::bigint as size
    from landings l join tasks t on t.id = l.task_id join chosen c on c.id = t.run_id
)
select (select count(*) from chosen) as runs, (select coalesce(sum(seconds), 0) from chosen) as seconds,
    fetched.tasks, fetched.requests, kept.batches, kept.size
from fetched, kept;

-- name: task_usage
-- The usage of completed tasks by kind, window and market (what follows the dot in a symbol).
with stored as (  -- the compression of each raw object
    select o.id, o.bytes::double precision / greatest(sum(l.bytes), 1) as share
    from raw_objects o join landings l on l.raw_id = o.id group by o.id
), kept as (
    select l.task_id, sum(l.bytes) as size, sum(l.bytes * s.share) as stored
    from landings l join stored s on s.id = l.raw_id group by l.task_id
)
select t.source, t.dataset, t.timeframe, min(t.symbol) as symbol, t.window_start, t.window_end, count(*) as tasks,
    sum(t.requests)::bigint as requests,
    sum(t.rows_new + t.rows_changed + t.rows_same + t.rows_rejected)::bigint as rows,
    sum(k.size)::bigint as size, sum(k.stored)::double precision as stored
from tasks t join kept k on k.task_id = t.id
where t.state = 'done' and t.updated_at > clock_timestamp() - make_interval(days => %(days)s)
group by t.source, t.dataset, t.timeframe, t.window_start, t.window_end, substring(t.symbol from '\.[A-Z]+$')
order by max(t.id) desc limit 5000;

-- name: vendor_usage
-- The tasks and requests of the runs of the last days, by vendor and class of the last error.
select t.source, t.error_class, count(*) as tasks, coalesce(sum(t.requests), 0)::bigint as requests,
       count(*) filter (where t.state = 'failed') as failed,
       count(*) filter (where t.state in ('pending', 'leased', 'landed')) as unfinished,
       coalesce(sum(t.rows_new + t.rows_changed + t.rows_same), 0)::bigint as accepted,
       coalesce(sum(t.rows_rejected), 0)::bigint as rejected, max(t.updated_at) as last_at
from runs r join tasks t on t.run_id = r.id
where r.created_at > clock_timestamp() - make_interval(days => %(days)s)
group by t.source, t.error_class order by t.source, t.error_class;
