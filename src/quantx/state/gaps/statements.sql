-- name: known
select source, dataset, timeframe, symbol, session, status, explanation, reason, asked, asked_at, due_at
from gaps where status <> 'filled' and (%(symbols)s::text[] is null or symbol = any(%(symbols)s::text[]))
order by source, dataset, timeframe, symbol, session;

-- name: due
select distinct symbol from gaps
where status = 'open' and due_at <= %(now)s and source = any(%(sources)s::text[]) order by symbol;

-- name: requests
select source, dataset, timeframe, symbol, window_start, window_end, last_error,
    case state when 'done' then 'answered' when 'failed' then 'failed' else 'waiting' end as state, updated_at
from tasks where kind = 'heal' and symbol = any(%(symbols)s::text[])
order by id;

-- name: put_gaps
insert into gaps as g (source, dataset, timeframe, symbol, session, status, explanation, reason, asked, asked_at, due_at)
select * from unnest(%(sources)s::text[], %(datasets)s::text[], %(timeframes)s::text[], %(symbols)s::text[],
    %(sessions)s::date[], %(statuses)s::text[], %(explanations)s::text[], %(reasons)s::text[], %(asked)s::integer[],
    %(asked_at)s::timestamptz[], %(due_at)s::timestamptz[])
on conflict (source, dataset, timeframe, symbol, session) do update set
    status = excluded.status, explanation = excluded.explanation, reason = excluded.reason, asked = excluded.asked,
    asked_at = excluded.asked_at, due_at = excluded.due_at,
    changed_at = case when g.status = excluded.status then g.changed_at else clock_timestamp() end;

-- name: count_gaps
select source, dataset, timeframe, symbol, count(*) filter (where status = 'open') as open,
    count(*) filter (where status = 'explained') as explained
from gaps where status <> 'filled' group by source, dataset, timeframe, symbol
order by source, dataset, timeframe, symbol;
