-- name: add_run
insert into runs (id, kind, source, request, skipped) values (%(id)s, %(kind)s, %(source)s, %(request)s, %(skipped)s)
on conflict (id) do nothing returning id;

-- name: tasks_of
select id from tasks where run_id = %(run_id)s order by id;

-- name: plan
-- Record a run with its tasks, and queue the new ones to be sent; nothing where the run is recorded already. Tasks that
-- are unfinished already are returned, too. The order is fixed: two triggers with the same symbols wait for each other,
-- without a deadlock.
with run as (
    insert into runs (id, kind, source, request, skipped)
    values (%(id)s, %(kind)s, %(source)s, %(request)s, %(skipped)s)
    on conflict (id) do nothing returning id
), planned as (
    insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end, fallback)
    select run.id, %(kind)s, t.source, t.dataset, t.timeframe, t.symbol, t.window_start, t.window_end,
        coalesce(string_to_array(nullif(t.fallback, ''), ','), '{}')
    from run, unnest(%(sources)s::text[], %(datasets)s::text[], %(timeframes)s::text[], %(symbols)s::text[],
            %(starts)s::date[], %(ends)s::date[], %(fallbacks)s::text[])
        as t (source, dataset, timeframe, symbol, window_start, window_end, fallback)
    order by t.symbol, t.dataset, t.timeframe, t.source, t.window_start, t.window_end
    on conflict (kind, source, dataset, timeframe, symbol, window_start, window_end)
        where state in ('pending', 'leased', 'landed')
        do update set kind = excluded.kind  -- nothing changes, but the row is returned
    returning id, run_id, (xmax = 0) as created
), queued as (
    insert into outbox (task_id) select id from planned where created
)
select id, run_id, created from planned;

-- name: lease_planned
-- Lease tasks that were just planned to their planner, without regard to others of their series.
with claimed as (
    update tasks set
        state = 'leased', lease_owner = %(owner)s, updated_at = clock_timestamp(),
        fence = fence + (lease_owner is distinct from %(owner)s)::integer,
        lapses = lapses + (state = 'leased' and lease_owner <> %(owner)s)::integer,
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    where id = any(%(ids)s::bigint[])
      and (state = 'pending'
           or (state = 'leased' and (lapsed(lease_until, make_interval(secs => %(lease)s)) or lease_owner = %(owner)s)))
    returning *
)
select c.id, c.run_id, c.kind, c.source, c.dataset, c.timeframe, c.symbol, c.window_start, c.window_end,
       c.attempts, c.fence, c.fallback, s.watermark is not null as has_history
from claimed c
left join series s using (source, dataset, timeframe, symbol)
order by c.id;

-- name: drop_run
delete from runs where id = %(id)s;

-- name: skipped_of
select skipped from runs where id = %(id)s;

-- name: dead_tasks
-- Lock the failed tasks that were not retried.
select id, kind, source, dataset, timeframe, symbol, window_start, window_end from tasks
where state = 'failed' and retried_by is null and (%(ids)s::bigint[] is null or id = any(%(ids)s::bigint[]))
order by kind, source, dataset, timeframe, symbol, window_start, window_end for update;

-- name: retry_task
-- One unfinished task for a failed one: a new one, or one of another run.
with again as (
    insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end, fallback)
    select %(run_id)s, kind, source, dataset, timeframe, symbol, window_start, window_end, fallback
    from tasks where id = %(id)s
    on conflict (kind, source, dataset, timeframe, symbol, window_start, window_end)
        where state in ('pending', 'leased', 'landed')
        do update set kind = excluded.kind
    returning id, run_id, (xmax = 0) as created
), marked as (
    update tasks set retried_by = again.id from again where tasks.id = %(id)s
)
select id, run_id, created from again;

-- name: add_to_outbox
insert into outbox (task_id) select unnest(%(ids)s::bigint[])
on conflict (task_id) do update set taken_until = '-infinity';

-- name: take_outbox
-- Take tasks whose message is to be sent. Another sender skips them until this one has had its time. A task that has
-- landed or ended is dropped: its message arrived although its sender got an error.
with complete as (
    delete from outbox using tasks
    where tasks.id = outbox.task_id and tasks.state in ('landed', 'done', 'failed')
)
update outbox o set taken_until = clock_timestamp() + make_interval(secs => %(seconds)s)
from tasks t
where t.id = o.task_id and o.task_id in (
    select w.task_id from outbox w join tasks x on x.id = w.task_id
    where w.taken_until <= clock_timestamp() and x.state in ('pending', 'leased')
    order by x.kind <> 'daily', w.task_id limit %(most)s for update of w skip locked
)
returning t.id, t.run_id, t.kind, t.source, t.dataset, t.timeframe, t.symbol, t.window_start, t.window_end;

-- name: count_unsent
select count(*) as unsent from outbox where taken_until <= clock_timestamp();

-- name: clear_outbox
delete from outbox where task_id = any(%(ids)s::bigint[]);

-- name: one_claim_at_a_time
-- Two claims at once would not see that the other one takes a task of the same series.
select pg_advisory_xact_lock(7013005);

-- name: give_up_deadly
-- Fail tasks whose holders have died too often.
update tasks set state = 'failed', lapses = lapses + 1, lease_owner = null, lease_until = null,
    error_class = 'WorkerDied', last_error = 'the workers that held it died ' || (lapses + 1) || ' times',
    updated_at = clock_timestamp()
where id = any(%(ids)s::bigint[]) and state = 'leased' and lapsed(lease_until, make_interval(secs => %(lease)s))
  and lease_owner <> %(owner)s and lapses + 1 >= %(deadly)s;

-- name: claim_tasks
-- Lease tasks of series without a lease in force. The fencing number rises, so that an earlier holder can't land.
-- Daily work goes first: where backfills are named, also daily tasks that are not named.
with named as (
    select * from tasks where id = any(%(ids)s::bigint[])
), urgent as (
    select * from tasks
    where state = 'pending' and kind = 'daily' and not_before <= clock_timestamp() and id <> all(%(ids)s::bigint[])
      and exists (select 1 from named where kind <> 'daily' and state in ('pending', 'leased'))
    order by id limit 4 * %(most)s
), free as (
    select t.id, t.kind, row_number() over (
        partition by t.source, t.dataset, t.timeframe, t.symbol order by t.kind <> 'daily', t.id
    ) as place
    from (select * from named union all select * from urgent) t
    where (t.state = 'pending'
           or (t.state = 'leased'
               and (lapsed(t.lease_until, make_interval(secs => %(lease)s)) or t.lease_owner = %(owner)s)))
      and not exists (
        select 1 from tasks o
        where (o.source, o.dataset, o.timeframe, o.symbol) = (t.source, t.dataset, t.timeframe, t.symbol)
          and o.state = 'leased' and not lapsed(o.lease_until, make_interval(secs => %(lease)s)) and o.id <> t.id)
), chosen as (
    select id from free where place = 1 order by kind <> 'daily', id limit %(most)s
), claimed as (
    update tasks set
        state = 'leased', lease_owner = %(owner)s, updated_at = clock_timestamp(),
        fence = fence + (lease_owner is distinct from %(owner)s)::integer,
        lapses = lapses + (state = 'leased' and lease_owner <> %(owner)s)::integer,
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    where id in (select id from chosen)  -- and again what may have changed while this waited for the row
      and (state = 'pending'
           or (state = 'leased' and (lapsed(lease_until, make_interval(secs => %(lease)s)) or lease_owner = %(owner)s)))
    returning *
)
select c.id, c.run_id, c.kind, c.source, c.dataset, c.timeframe, c.symbol, c.window_start, c.window_end,
       c.attempts, c.fence, c.fallback, s.watermark is not null as has_history
from claimed c
left join series s using (source, dataset, timeframe, symbol)
order by c.kind <> 'daily', c.id;

-- name: claim_mates
-- Take pending tasks that one request can serve together with those that were claimed, each of another series.
with free as (
    select t.id, t.kind, row_number() over (partition by t.symbol order by t.kind <> 'daily', t.id) as place
    from tasks t
    where (t.source, t.dataset, t.timeframe, t.window_start, t.window_end)
        = (%(source)s, %(dataset)s, %(timeframe)s, %(window_start)s, %(window_end)s)
      and ((t.state = 'pending' and t.not_before <= clock_timestamp())
           or (t.state = 'leased' and t.lease_owner = %(owner)s and t.id <> all(%(held)s::bigint[])))
      and not exists (
        select 1 from tasks o
        where (o.source, o.dataset, o.timeframe, o.symbol) = (t.source, t.dataset, t.timeframe, t.symbol)
          and o.state = 'leased' and not lapsed(o.lease_until, make_interval(secs => %(lease)s)) and o.id <> t.id)
), chosen as (
    select id from free where place = 1 order by kind <> 'daily', id limit %(most)s
), claimed as (
    update tasks set
        state = 'leased', lease_owner = %(owner)s, updated_at = clock_timestamp(),
        fence = fence + (lease_owner is distinct from %(owner)s)::integer,
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    where id in (select id from chosen)  -- and again what may have changed while this waited for the row
      and (state = 'pending' or (state = 'leased' and lease_owner = %(owner)s))
    returning *
)
select c.id, c.run_id, c.kind, c.source, c.dataset, c.timeframe, c.symbol, c.window_start, c.window_end,
       c.attempts, c.fence, c.fallback, s.watermark is not null as has_history
from claimed c
left join series s using (source, dataset, timeframe, symbol)
order by c.kind <> 'daily', c.id;

-- name: take_from_lapsed
-- Release lapsed leases of other tasks of these series: a holder that comes back must not land them meanwhile.
update tasks t set
    state = 'pending', fence = t.fence + 1, lapses = t.lapses + 1, lease_owner = null, lease_until = null,
    updated_at = clock_timestamp()
from tasks c
where c.id = any(%(ids)s::bigint[]) and t.id <> all(%(ids)s::bigint[]) and t.state = 'leased'
  and (t.source, t.dataset, t.timeframe, t.symbol) = (c.source, c.dataset, c.timeframe, c.symbol);

-- name: states_of
select id, state from tasks where id = any(%(ids)s::bigint[]);

-- name: extend_leases
update tasks set lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
from unnest(%(ids)s::bigint[], %(fences)s::integer[]) as held (id, fence)
where tasks.id = held.id and tasks.fence = held.fence and tasks.state = 'leased'
returning tasks.id;

-- name: add_raw_object
insert into raw_objects (path, source, dataset, payloads, bytes)
values (%(path)s, %(source)s, %(dataset)s, %(payloads)s, %(bytes)s) on conflict (path) do nothing returning id;

-- name: landed_before
select l.task_id from landings l join raw_objects r on r.id = l.raw_id where r.path = %(path)s and l.malformed is null;

-- name: land
-- Record stored replies, but only for tasks that this worker still holds. Returns the tasks that have landed.
with landed as (
    update tasks set state = 'landed', lease_owner = null, lease_until = null, requests = tasks.requests + l.asked,
        error_class = null, last_error = null, updated_at = clock_timestamp()
    from unnest(%(ids)s::bigint[], %(fences)s::integer[], %(rows)s::integer[], %(pages)s::integer[],
        %(times)s::timestamptz[], %(sizes)s::bigint[], %(requests)s::integer[])
        as l (id, fence, raw_row, raw_rows, fetched_at, bytes, asked)
    where tasks.id = l.id and tasks.fence = l.fence and tasks.state = 'leased'
    returning tasks.*, l.raw_row, l.raw_rows, l.fetched_at, l.bytes
)
insert into landings (raw_id, raw_row, raw_rows, task_id, source, dataset, timeframe, symbol, fetched_at, bytes)
select %(raw_id)s, raw_row, raw_rows, id, source, dataset, timeframe, symbol, fetched_at, bytes from landed
returning task_id;

-- name: settle_dead
-- Settle the dead tasks whose windows these later tasks of their series have fetched again.
with covered as (
    select d.id, min(l.id) as by
    from tasks d
    join tasks l on (l.source, l.dataset, l.timeframe, l.symbol) = (d.source, d.dataset, d.timeframe, d.symbol)
        and l.id > d.id and l.window_start <= d.window_start and l.window_end >= d.window_end
    where l.id = any(%(ids)s::bigint[]) and d.state = 'failed' and d.retried_by is null
    group by d.id
), free as (  -- a task that another transaction retries gets its successor there
    select id from tasks
    where id in (select id from covered) and state = 'failed' and retried_by is null
    for update skip locked
)
update tasks set retried_by = covered.by from covered
where tasks.id = covered.id and tasks.id in (select id from free);

-- name: land_evidence
-- Record replies that can't be read; they do not move their tasks on.
insert into landings (raw_id, raw_row, task_id, source, dataset, timeframe, symbol, fetched_at, bytes, malformed)
select %(raw_id)s, l.raw_row, t.id, t.source, t.dataset, t.timeframe, t.symbol, l.fetched_at, l.bytes, l.malformed
from unnest(%(ids)s::bigint[], %(rows)s::integer[], %(times)s::timestamptz[], %(sizes)s::bigint[], %(why)s::text[])
    as l (id, raw_row, fetched_at, bytes, malformed)
join tasks t on t.id = l.id;

-- name: release_tasks
-- Release tasks without counting a failure (a shutdown, or a back-off of the vendor).
update tasks set
    state = 'pending', lease_owner = null, lease_until = null, updated_at = clock_timestamp(),
    requests = requests + case when tasks.id = (%(ids)s::bigint[])[1] then %(requests)s else 0 end,
    last_error = coalesce(%(error)s, last_error), not_before = clock_timestamp() + make_interval(secs => %(delay)s)
from unnest(%(ids)s::bigint[], %(fences)s::integer[]) as held (id, fence)
where tasks.id = held.id and tasks.fence = held.fence and tasks.state = 'leased';

-- name: fail_attempt
-- Count a failure: the task is pending again, or failed after the last attempt or a final error.
update tasks set
    state = case when %(final)s or attempts + 1 >= %(most)s then 'failed' else 'pending' end,
    attempts = attempts + 1, requests = requests + %(requests)s, lease_owner = null, lease_until = null,
    error_class = %(error_class)s, last_error = %(error)s, updated_at = clock_timestamp(),
    not_before = clock_timestamp() + make_interval(secs => %(delay)s)
where id = %(id)s and fence = %(fence)s and state = 'leased'
returning state, source, dataset, timeframe, symbol;

-- name: complete
-- A task that needs no curator is done: its holder has committed its rows.
update tasks set
    state = 'done', lease_owner = null, lease_until = null, error_class = null, last_error = null,
    rows_new = rows_new + %(new)s, rows_changed = rows_changed + %(changed)s,
    rows_rejected = rows_rejected + %(rejected)s, updated_at = clock_timestamp()
where id = %(id)s and fence = %(fence)s and state = 'leased'
returning id;

-- name: pass_on
-- Fail a task at its vendor, and plan it at the fallback vendor, or return the task that is planned there.
with given_up as (
    update tasks set state = 'failed', passed_on = true, attempts = attempts + 1, requests = requests + %(requests)s,
        lease_owner = null, lease_until = null, error_class = %(error_class)s, last_error = %(error)s,
        updated_at = clock_timestamp()
    where id = %(id)s and fence = %(fence)s and state = 'leased' and cardinality(fallback) > 0
    returning *
)
insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end, fallback)
select run_id, kind, fallback[1], dataset, timeframe, symbol, window_start, window_end, fallback[2:] from given_up
on conflict (kind, source, dataset, timeframe, symbol, window_start, window_end)
    where state in ('pending', 'leased', 'landed')
    do update set kind = excluded.kind
returning id, (xmax = 0) as created;

-- name: follow_bars
-- Fail a task about events whose bars have passed on: readers see another vendor's bars, with its events.
update tasks e set state = 'failed', passed_on = true, retried_by = b.retried_by, attempts = e.attempts + 1,
    requests = e.requests + %(requests)s, lease_owner = null, lease_until = null, error_class = %(error_class)s,
    last_error = %(error)s, updated_at = clock_timestamp()
from tasks b
where e.id = %(id)s and e.fence = %(fence)s and e.state = 'leased' and e.dataset = 'actions'
  and b.run_id = e.run_id and b.dataset = 'bars' and b.passed_on and b.retried_by is not null
  and (b.source, b.timeframe, b.symbol) = (e.source, e.timeframe, e.symbol)
returning e.id;

-- name: events_follow
-- The same for events that are pending or failed when their bars pass on.
update tasks e set state = 'failed', passed_on = true, retried_by = b.retried_by, error_class = b.error_class,
    last_error = b.last_error, updated_at = clock_timestamp()
from tasks b
where b.id = %(id)s and b.dataset = 'bars' and e.dataset = 'actions' and e.run_id = b.run_id
  and (e.state = 'pending' or (e.state = 'failed' and e.retried_by is null))
  and (e.source, e.timeframe, e.symbol) = (b.source, b.timeframe, b.symbol);

-- name: pass_on_events
-- Plan the events beside the bars of the fallback vendor.
insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end)
select t.run_id, t.kind, s.source, 'actions', t.timeframe, t.symbol, %(start)s, %(end)s
from tasks t, tasks s where t.id = %(id)s and s.id = %(by)s
on conflict (kind, source, dataset, timeframe, symbol, window_start, window_end)
    where state in ('pending', 'leased', 'landed')
    do update set kind = excluded.kind
returning id, (xmax = 0) as created;

-- name: note_successor
update tasks set retried_by = %(by)s where id = %(id)s returning source, dataset, timeframe, symbol;

-- name: note_failure
insert into series (source, dataset, timeframe, symbol, failures, last_error, last_asked_at, refused)
values (%(source)s, %(dataset)s, %(timeframe)s, %(symbol)s, 1, %(error)s, clock_timestamp(), %(refused)s)
on conflict (source, dataset, timeframe, symbol) do update set
    failures = series.failures + 1, last_error = excluded.last_error, last_asked_at = excluded.last_asked_at,
    refused = excluded.refused;

-- name: lost_tasks
-- Unfinished tasks that no worker holds and whose message is overdue: their message is sent again.
update tasks set updated_at = clock_timestamp()
where id in (
    select id from tasks
    where ((state = 'pending' and not_before < clock_timestamp() - make_interval(secs => %(seconds)s)
            and updated_at < clock_timestamp() - make_interval(secs => %(seconds)s))
           or (state = 'leased' and lease_until < clock_timestamp() - make_interval(secs => %(seconds)s)
               and updated_at < clock_timestamp() - make_interval(secs => %(seconds)s)))
    order by id limit 1000 for update skip locked)
returning id;

-- name: count_by_state
-- The successors of tasks that were passed on, with the events that are fetched beside them.
with standing as (
    select standing_for(%(ids)s::bigint[]) as id
), counted as (
    select id from standing
    union
    select e.id from standing
    join tasks s on s.id = standing.id and s.id <> all(%(ids)s::bigint[]) and s.dataset = 'bars'
    join tasks e on e.run_id = s.run_id and e.dataset = 'actions'
        and (e.source, e.timeframe, e.symbol) = (s.source, s.timeframe, s.symbol)
)
select state, count(*) as tasks from tasks
where case when %(ids)s::bigint[] is null then not passed_on else id in (select id from counted) end
group by state;

-- name: any_unfinished
-- Counted as in count_by_state.
with standing as (
    select standing_for(%(ids)s::bigint[]) as id
), counted as (
    select id from standing
    union
    select e.id from standing
    join tasks s on s.id = standing.id and s.id <> all(%(ids)s::bigint[]) and s.dataset = 'bars'
    join tasks e on e.run_id = s.run_id and e.dataset = 'actions'
        and (e.source, e.timeframe, e.symbol) = (s.source, s.timeframe, s.symbol)
)
select exists (select 1 from tasks where state in ('pending', 'leased', 'landed')
    and (%(ids)s::bigint[] is null or id in (select id from counted))) as any;

-- name: few_left
select count(*) <= %(most)s as few
from (select from tasks where state in ('pending', 'leased') limit %(most)s::integer + 1) as some_of_them;

-- name: count_dead
select count(*) as dead from tasks where state = 'failed' and retried_by is null;

-- name: settled_of
select id from tasks where id = any(%(ids)s::bigint[])
    and (state in ('landed', 'done') or (state = 'failed' and retried_by is not null));

-- name: list_tasks
select id, run_id, kind, source, dataset, symbol, timeframe, window_start, window_end, state, attempts, lapses,
       rows_new, rows_changed, rows_rejected, error_class, last_error, updated_at, retried_by, passed_on
from tasks
where (%(state)s::text is null or state = %(state)s) and (%(run_id)s::text is null or run_id = %(run_id)s)
  and (not %(dead)s or (state = 'failed' and retried_by is null))
  and (%(source)s::text is null or source = %(source)s) and (%(symbol)s::text is null or symbol = %(symbol)s)
  and (%(before)s::bigint is null or id < %(before)s)
order by id desc limit %(limit)s;

-- name: find_task
-- A task with what only its own page shows.
select id, run_id, kind, source, dataset, symbol, timeframe, window_start, window_end, state, attempts, lapses,
       rows_new, rows_changed, rows_rejected, error_class, last_error, updated_at, retried_by, passed_on,
       rows_same, requests, created_at, not_before, lease_until, fallback
from tasks where id = %(id)s;

-- name: replies_of_task
-- The stored replies of a task.
select r.path, l.raw_row as row, l.fetched_at, l.bytes as size, l.malformed
from landings l join raw_objects r on r.id = l.raw_id where l.task_id = %(id)s order by l.id;
