-- name: uncovered
-- The parts of the window that were never answered, per symbol. What the vendor was late with (days after all that it
-- has answered) when it was asked less than %(patience)s seconds ago is left alone for now.
select w.symbol, lower(gap) as gap_start, upper(gap) - 1 as gap_end
from unnest(%(symbols)s::text[], %(starts)s::date[], %(ends)s::date[]) as w (symbol, window_start, window_end)
left join series s on s.symbol = w.symbol and s.source = %(source)s and s.dataset = %(dataset)s
    and s.timeframe = %(timeframe)s,
unnest(datemultirange(daterange(w.window_start, w.window_end, '[]')) - coalesce(s.covered, '{}'::datemultirange)) as gap
where not coalesce(
    lower(gap) >= coalesce(upper(s.covered), s.asked_through - 7) and upper(gap) - 1 <= s.asked_through
    and s.last_asked_at > %(now)s::timestamptz - make_interval(secs => %(patience)s), false
)
order by w.symbol, gap_start;

-- name: watermarks
-- How far each series is. One whose vendor has had nothing for a month is at rest: it is asked once a week.
select symbol, watermark, coalesce(
    asked_through - watermark > 30 and last_asked_at > %(now)s::timestamptz - interval '7 days', false
) as at_rest
from series
where source = %(source)s and dataset = %(dataset)s and timeframe = %(timeframe)s
  and symbol = any(%(symbols)s::text[]) and watermark is not null;

-- name: manifest
-- One line per series: what is there, and what is known to be missing.
select s.source, s.timeframe, s.symbol, s.first_session, s.watermark, s.covered::text as covered,
    s.nothing::text as nothing, s.failures, s.last_error, s.last_asked_at
from series s order by s.source, s.timeframe, s.symbol;

-- name: reserve_slots
-- Reserve the next slots of a provider for all workers together, in one statement. Returns the seconds to the first,
-- or nothing where that is more than %(patience)s: then no slot is taken.
insert into quota as q (source, next_slot) values (%(source)s, clock_timestamp() + %(count)s * make_interval(secs => %(gap)s))
on conflict (source) do update set
    next_slot = greatest(q.next_slot, q.closed_until, clock_timestamp()) + %(count)s * make_interval(secs => %(gap)s)
where greatest(q.next_slot, q.closed_until) <= clock_timestamp() + make_interval(secs => %(patience)s)
returning extract(epoch from next_slot - %(count)s * make_interval(secs => %(gap)s) - clock_timestamp())::float8 as wait;

-- name: next_slot
select extract(epoch from greatest(next_slot, closed_until) - clock_timestamp())::float8 as wait
from quota where source = %(source)s;

-- name: close_quota
-- The vendor wants to be left alone: nobody asks until then.
insert into quota as q (source, closed_until, reason)
values (%(source)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(reason)s)
on conflict (source) do update set closed_until = greatest(q.closed_until, excluded.closed_until), reason = excluded.reason;

-- name: circuits
select source, closed_until, reason from quota where closed_until > clock_timestamp();
