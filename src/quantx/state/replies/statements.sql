-- name: holdings
-- Curated replies by symbol: those of one source, or of all; of some symbols, or of all.
select l.source, l.symbol, count(*) as replies, sum(l.bytes)::bigint as bytes
from landings l join rounds r on r.id = l.round_id
where r.finished_at is not null and l.source = coalesce(%(source)s::text, l.source)
    and (%(symbols)s::text[] is null or l.symbol = any(%(symbols)s::text[]))
group by l.source, l.symbol order by min(l.id), l.symbol;

-- name: curated
select o.path, l.raw_row, l.raw_rows, l.task_id, l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.malformed,
       l.bytes, t.run_id, t.window_start, t.window_end
from landings l join raw_objects o on o.id = l.raw_id join tasks t on t.id = l.task_id
     join rounds r on r.id = l.round_id
where r.finished_at is not null and l.source = %(source)s and l.symbol = any(%(symbols)s::text[])
order by l.fetched_at, l.id;

-- name: unknown_objects
select path from unnest(%(paths)s::text[]) as path
where not exists (select from raw_objects o where o.path = path.path);

-- name: objects
select path from raw_objects;

-- name: first_and_last_objects
select path from raw_objects
where id in (select id from raw_objects order by id limit %(most)s)
    or id in (select id from raw_objects order by id desc limit %(most)s)
order by id;

-- name: of_object
-- The replies of one raw object.
select o.path, l.raw_row, l.raw_rows, l.task_id, l.source, l.dataset, l.timeframe, l.symbol, l.fetched_at, l.malformed,
       l.bytes, t.run_id, t.window_start, t.window_end
from landings l join raw_objects o on o.id = l.raw_id join tasks t on t.id = l.task_id
where o.path = %(path)s order by l.id;

-- name: set_sessions
-- The first session and the watermark as derived again, also where the watermark goes back.
update series as s set first_session = d.first, watermark = d.last
from unnest(%(sources)s::text[], %(datasets)s::text[], %(timeframes)s::text[], %(symbols)s::text[], %(firsts)s::date[],
            %(lasts)s::date[]) as d (source, dataset, timeframe, symbol, first, last)
where (s.source, s.dataset, s.timeframe, s.symbol) = (d.source, d.dataset, d.timeframe, d.symbol);

-- name: forget_hot_bars
delete from hot_bars where source = %(source)s and symbol = any(%(symbols)s::text[]);

-- name: stored
-- The raw objects by vendor and dataset.
select source, dataset, count(*) as objects, sum(payloads)::bigint as replies, sum(bytes)::bigint as size,
       max(landed_at) as last_at
from raw_objects group by source, dataset order by source, dataset;
