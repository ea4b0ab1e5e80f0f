-- name: open_landings
select count(*) as landings, coalesce(sum(bytes), 0)::bigint as bytes from (
    select bytes from landings where round_id is null
    union all
    select l.bytes from landings l join rounds r on r.id = l.round_id where r.finished_at is null
) as waiting;

-- name: unfinished_round
select id from rounds where finished_at is null order by id limit 1;

-- name: start_round
-- Number a new round above every round of this database and above %(above)s, the last one that the lake has seen: a
-- lake that outlives its database treats lower numbers as repetitions.
insert into rounds (id) overriding system value
select greatest(coalesce(max(id), 0), %(above)s) + 1 from rounds returning id;

-- name: fill_round
-- Put the oldest open reply of each series into the round, up to %(bytes)s and %(replies)s: the replies of a series are
-- curated in their order.
with oldest as (
    select distinct on (source, dataset, timeframe, symbol, malformed is null) id, fetched_at, bytes from landings
    where round_id is null
    order by source, dataset, timeframe, symbol, malformed is null, fetched_at, id
), summed as (
    select id, sum(bytes) over (order by fetched_at, id) - bytes as before,
        row_number() over (order by fetched_at, id) as place from oldest
)
update landings set round_id = %(round_id)s
where id in (select id from summed where before < %(bytes)s and place <= %(replies)s);

-- name: upcoming_replies
-- Return the replies that `fill_round` would put into a round, as `round_replies` does.
with oldest as (
    select distinct on (source, dataset, timeframe, symbol, malformed is null) id, fetched_at, bytes from landings
    where round_id is null
    order by source, dataset, timeframe, symbol, malformed is null, fetched_at, id
), summed as (
    select id, sum(bytes) over (order by fetched_at, id) - bytes as before,
        row_number() over (order by fetched_at, id) as place from oldest
)
select r.path, l.raw_row, l.raw_rows, l.task_id, l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.malformed,
       l.bytes, t.run_id, t.window_start, t.window_end
from landings l join raw_objects r on r.id = l.raw_id join tasks t on t.id = l.task_id
where l.id in (select id from summed where before < %(bytes)s and place <= %(replies)s)
order by l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.id;

-- name: round_replies
select r.path, l.raw_row, l.raw_rows, l.task_id, l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.malformed,
       l.bytes, t.run_id, t.window_start, t.window_end
from landings l join raw_objects r on r.id = l.raw_id join tasks t on t.id = l.task_id
where l.round_id = %(round_id)s order by l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.id;

-- name: finish_tasks
-- A task whose stored reply is lost is pending again, or failed where this failure is the last one of its attempts.
update tasks set
    state = case when f.state = 'pending' and tasks.attempts + 1 >= f.most then 'failed' else f.state end,
    error_class = f.error_class, last_error = coalesce(f.error, tasks.last_error),
    rows_new = tasks.rows_new + f.rows_new, rows_changed = tasks.rows_changed + f.rows_changed,
    rows_same = tasks.rows_same + f.rows_same, rows_rejected = tasks.rows_rejected + f.rows_rejected,
    attempts = tasks.attempts + (f.state = 'pending' and tasks.attempts + 1 < coalesce(f.most, 2147483647))::integer,
    updated_at = clock_timestamp()
from unnest(%(ids)s::bigint[], %(states)s::text[], %(classes)s::text[], %(errors)s::text[], %(new)s::integer[],
            %(changed)s::integer[], %(same)s::integer[], %(rejected)s::integer[], %(most)s::integer[])
    as f (id, state, error_class, error, rows_new, rows_changed, rows_same, rows_rejected, most)
where tasks.id = f.id and tasks.state = 'landed' returning tasks.id, tasks.state;

-- name: cover_series
-- Record coverage. The watermark never goes back.
insert into series as s (source, dataset, timeframe, symbol, covered, nothing, first_session, watermark, asked_through,
    last_asked_at)
select c.source, c.dataset, c.timeframe, c.symbol, c.covered::datemultirange, c.nothing::datemultirange,
       c.first_session, c.watermark, c.asked_through, c.asked_at
from unnest(%(sources)s::text[], %(datasets)s::text[], %(timeframes)s::text[], %(symbols)s::text[], %(covered)s::text[],
            %(nothing)s::text[], %(firsts)s::date[], %(lasts)s::date[], %(through)s::date[], %(asked)s::timestamptz[])
    as c (source, dataset, timeframe, symbol, covered, nothing, first_session, watermark, asked_through, asked_at)
on conflict (source, dataset, timeframe, symbol) do update set
    covered = s.covered + excluded.covered,
    nothing = (s.nothing - (excluded.covered - excluded.nothing)) + excluded.nothing,
    first_session = least(s.first_session, excluded.first_session),
    watermark = greatest(s.watermark, excluded.watermark),
    asked_through = greatest(s.asked_through, excluded.asked_through),
    failures = 0, last_error = null, refused = false,
    last_asked_at = greatest(s.last_asked_at, excluded.last_asked_at);

-- name: put_hot_bars
-- The rows are one JSON text, as a frame writes it.
insert into hot_bars as h (source, symbol, date, open, high, low, close, volume, currency, known_from)
select source, symbol, date, open, high, low, close, volume, currency, known_from
from json_populate_recordset(null::hot_bars, %(rows)s::json)
on conflict (source, symbol, date) do update set
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
    currency = excluded.currency, known_from = excluded.known_from
where excluded.known_from >= h.known_from;

-- name: trim_hot_bars
-- Keep the sessions of the last days before each symbol's newest bar.
delete from hot_bars h using (
    select source, symbol, max(date) as newest from hot_bars where symbol = any(%(symbols)s::text[]) group by 1, 2
) as n where h.source = n.source and h.symbol = n.symbol and h.date < n.newest - %(days)s::integer;

-- name: finish_round
update rounds set finished_at = clock_timestamp() where id = %(round_id)s and finished_at is null returning id;
