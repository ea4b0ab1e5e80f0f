-- name: add_tasks
-- Plan tasks; a task that is unfinished already joins this run instead. Returns the ids of all of them. In one order, so
-- that two triggers with the same symbols wait for each other instead of blocking each other.
insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end)
select %(run_id)s, %(kind)s, %(source)s, %(dataset)s, %(timeframe)s, t.symbol, t.window_start, t.window_end
from unnest(%(symbols)s::text[], %(starts)s::date[], %(ends)s::date[]) as t (symbol, window_start, window_end)
order by t.symbol, t.window_start, t.window_end
on conflict (kind, source, dataset, timeframe, symbol, window_start, window_end)
    where state in ('pending', 'leased', 'landed')
    do update set run_id = excluded.run_id, requests = 0  -- the earlier run's are not this one's
returning id, state, (xmax = 0) as created;

-- name: add_to_outbox
insert into outbox (task_id) select unnest(%(ids)s::bigint[]) on conflict do nothing;

-- name: take_outbox
-- Lock some tasks whose message is to be sent; another sender skips them.
select o.task_id, t.source, t.dataset, t.timeframe, t.symbol, t.window_start, t.window_end, t.run_id
from outbox o join tasks t on t.id = o.task_id
order by o.task_id limit %(most)s for update of o skip locked;

-- name: clear_outbox
delete from outbox where task_id = any(%(ids)s::bigint[]);

-- name: claim_tasks
-- Take the lease of those tasks that nobody holds. The fencing number rises, so an earlier holder can't land.
with claimed as (
    update tasks set
        state = 'leased', lease_owner = %(owner)s, fence = fence + 1, updated_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    where id = any(%(ids)s::bigint[])
      and (state = 'pending' or (state = 'leased' and lease_until < clock_timestamp()))
    returning *
)
select c.id, c.run_id, c.kind, c.source, c.dataset, c.timeframe, c.symbol, c.window_start, c.window_end,
       c.attempts, c.fence, s.watermark is not null as has_history
from claimed c
left join series s using (source, dataset, timeframe, symbol)
order by c.id;

-- name: settled_tasks
-- Which of these tasks need no worker any more.
select id from tasks where id = any(%(ids)s::bigint[]) and state in ('landed', 'done', 'failed');

-- name: extend_leases
update tasks set lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
from unnest(%(ids)s::bigint[], %(fences)s::integer[]) as held (id, fence)
where tasks.id = held.id and tasks.fence = held.fence and tasks.state = 'leased'
returning tasks.id;

-- name: release_tasks
-- Give tasks back without counting a failure (a shutdown, or the vendor asked to wait).
update tasks set
    state = 'pending', lease_owner = null, lease_until = null, updated_at = clock_timestamp(),
    requests = requests + %(requests)s, last_error = coalesce(%(error)s, last_error),
    not_before = clock_timestamp() + make_interval(secs => %(delay)s)
from unnest(%(ids)s::bigint[], %(fences)s::integer[]) as held (id, fence)
where tasks.id = held.id and tasks.fence = held.fence and tasks.state = 'leased';

-- name: fail_attempt
-- Count a failure: the task goes back, or is given up after the last attempt or where asking again is useless.
update tasks set
    state = case when %(terminal)s or attempts + 1 >= %(most)s then 'failed' else 'pending' end,
    attempts = attempts + 1, requests = requests + 1, lease_owner = null, lease_until = null,
    error_class = %(error_class)s, last_error = %(error)s, updated_at = clock_timestamp(),
    not_before = clock_timestamp() + make_interval(secs => %(delay)s)
where id = %(id)s and fence = %(fence)s and state = 'leased'
returning state;

-- name: note_series_failure
insert into series (source, dataset, timeframe, symbol, failures, last_error, last_asked_at)
values (%(source)s, %(dataset)s, %(timeframe)s, %(symbol)s, 1, %(error)s, clock_timestamp())
on conflict (source, dataset, timeframe, symbol) do update set
    failures = series.failures + 1, last_error = excluded.last_error, last_asked_at = excluded.last_asked_at;

-- name: lost_tasks
-- Unfinished tasks that no worker holds, whose message should have come back by now: their message is sent again.
select id from tasks
where (state = 'pending' and not_before < clock_timestamp() - make_interval(secs => %(patience)s)
       and updated_at < clock_timestamp() - make_interval(secs => %(patience)s))
   or (state = 'leased' and lease_until < clock_timestamp() - make_interval(secs => %(patience)s))
order by id limit 1000;

-- name: touch_tasks
update tasks set updated_at = clock_timestamp() where id = any(%(ids)s::bigint[]);

-- name: count_by_state
select state, count(*) as tasks from tasks
where %(ids)s::bigint[] is null or id = any(%(ids)s::bigint[]) group by state;

-- name: list_tasks
select id, run_id, kind, source, symbol, timeframe, window_start, window_end, state, attempts, rows_new, rows_changed,
       rows_rejected, error_class, last_error, updated_at
from tasks
where (%(state)s::text is null or state = %(state)s) and (%(run_id)s::text is null or run_id = %(run_id)s)
order by id desc limit %(most)s;
