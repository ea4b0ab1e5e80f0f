-- name: count
-- The rows that a deletion removes. `symbols` null: all; a row's span is that of its symbol, infinite where it is open.
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
select 'hot_bars' as name, count(*) as rows from hot_bars h
where source = %(source)s and %(prices)s
    and exists (select from spans s where s.symbol in ('', h.symbol) and h.date between s.first and s.last)
union all
select 'series', count(*) from series x
where source = %(source)s and (%(datasets)s::text[] is null or dataset = any(%(datasets)s::text[]))
    and exists (select from spans s where s.symbol in ('', x.symbol))
union all
select 'gaps', count(*) from gaps g
where source = %(source)s and %(prices)s
    and exists (select from spans s where s.symbol in ('', g.symbol) and g.session between s.first and s.last)
union all
select 'findings', count(*) from findings f
where (source = %(source)s or message ~ %(mentions)s or facts::text ~ %(mentions)s)
    and (%(named)s::text[] is null or dataset = '' or dataset = any(%(named)s::text[]))
    and exists (select from spans s where s.symbol in ('', f.subject) and coalesce(f.first_day, s.first) between s.first and s.last);

-- name: stop_tasks
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
), found as (
    select id, lease_until, state = 'leased' as held from tasks t
    where source = %(source)s and (%(datasets)s::text[] is null or dataset = any(%(datasets)s::text[]))
        and (state in ('pending', 'leased', 'landed') or (state = 'failed' and retried_by is null))
        and exists (select from spans s where s.symbol in ('', t.symbol)
            and (dataset not in ('bars', 'actions') or (t.window_start <= s.last and t.window_end >= s.first)))
    for update
), stopped as (
    update tasks set state = 'failed', fence = fence + 1, lease_owner = null, lease_until = null, error_class = 'Deleted',
        last_error = %(why)s, retried_by = tasks.id, updated_at = clock_timestamp()
    from found where tasks.id = found.id returning tasks.id
), unsent as (
    delete from outbox using stopped where outbox.task_id = stopped.id
)
select count(*) as tasks, max(lease_until) filter (where held) as held_until from found;

-- name: drop_fallback
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
update tasks t set fallback = array_remove(fallback, %(source)s)
where state in ('pending', 'leased') and %(source)s = any(fallback)
    and (%(datasets)s::text[] is null or dataset = any(%(datasets)s::text[]))
    and exists (select from spans s where s.symbol in ('', t.symbol) and t.window_start <= s.last and t.window_end >= s.first);

-- name: forget_errors
-- A failure may quote a reply.
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
update tasks t set last_error = %(why)s
where source = %(source)s and last_error is not null and last_error <> %(why)s
    and (%(datasets)s::text[] is null or dataset = any(%(datasets)s::text[]))
    and exists (select from spans s where s.symbol in ('', t.symbol)
        and (dataset not in ('bars', 'actions') or (t.window_start <= s.last and t.window_end >= s.first)))
returning id;

-- name: erase_hot_bars
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
delete from hot_bars h where source = %(source)s and %(prices)s
    and exists (select from spans s where s.symbol in ('', h.symbol) and h.date between s.first and s.last)
returning date;

-- name: erase_gaps
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
delete from gaps g where source = %(source)s and %(prices)s
    and exists (select from spans s where s.symbol in ('', g.symbol) and g.session between s.first and s.last)
returning session;

-- name: erase_findings
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
)
delete from findings f
where (source = %(source)s or message ~ %(mentions)s or facts::text ~ %(mentions)s)
    and (%(named)s::text[] is null or dataset = '' or dataset = any(%(named)s::text[]))
    and exists (select from spans s where s.symbol in ('', f.subject) and coalesce(f.first_day, s.first) between s.first and s.last)
returning id;

-- name: erase_series
-- The coverage of series without a day left; that of others loses the deleted days.
with spans as (
    select * from unnest(%(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]) as s (symbol, first, last)
), gone as (
    delete from series x
    where source = %(source)s and (%(datasets)s::text[] is null or dataset = any(%(datasets)s::text[]))
        and exists (select from spans s where s.symbol in ('', x.symbol)
            and (dataset not in ('bars', 'actions') or (s.first = '-infinity' and s.last = 'infinity')))
    returning symbol
), cut as (
    update series x set
        covered = covered - d.days, nothing = nothing - d.days, last_error = null,
        first_session = case when first_session <@ d.days then null else first_session end,
        watermark = case when watermark <@ d.days then null else watermark end
    from (
        select y.source, y.dataset, y.timeframe, y.symbol, range_agg(daterange(s.first, s.last, '[]')) as days
        from series y join spans s on s.symbol in ('', y.symbol)
        where y.source = %(source)s and y.dataset in ('bars', 'actions')
            and (%(datasets)s::text[] is null or y.dataset = any(%(datasets)s::text[]))
            and not (s.first = '-infinity' and s.last = 'infinity')
        group by y.source, y.dataset, y.timeframe, y.symbol
    ) d
    where (x.source, x.dataset, x.timeframe, x.symbol) = (d.source, d.dataset, d.timeframe, d.symbol)
    returning x.symbol
)
select symbol from gone union all select symbol from cut;

-- name: forget_replies
-- Delete the records of the replies in a raw object, without those of the tasks that stay.
delete from landings l using raw_objects o
where o.id = l.raw_id and o.path = %(path)s and l.task_id <> all(%(kept)s::bigint[]);

-- name: forget_object
delete from raw_objects o where path = %(path)s and not exists (select from landings l where l.raw_id = o.id);

-- name: move_object
update raw_objects set path = %(stand_in)s, bytes = %(size)s where path = %(path)s;
