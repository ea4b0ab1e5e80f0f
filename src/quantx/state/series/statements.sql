-- name: uncovered
-- The uncovered parts of the windows, per symbol. Days after all covered ones are left out where the vendor was late with
-- them, until %(late_seconds)s seconds after the last request.
select w.symbol, lower(gap) as gap_start, upper(gap) - 1 as gap_end
from unnest(%(symbols)s::text[], %(starts)s::date[], %(ends)s::date[]) as w (symbol, window_start, window_end)
left join series s on s.symbol = w.symbol and s.source = %(source)s and s.dataset = %(dataset)s
    and s.timeframe = %(timeframe)s,
unnest(datemultirange(daterange(w.window_start, w.window_end, '[]')) - coalesce(s.covered, '{}'::datemultirange)) as gap
where not coalesce(
    lower(gap) >= coalesce(upper(s.covered), s.asked_through - 7) and upper(gap) - 1 <= s.asked_through
    and s.last_asked_at > %(now)s::timestamptz - make_interval(secs => %(late_seconds)s), false
)
order by w.symbol, gap_start;

-- name: progress
select symbol, watermark, asked_through, last_asked_at, refused, last_error from series
where source = %(source)s and dataset = %(dataset)s and timeframe = %(timeframe)s
  and symbol = any(%(symbols)s::text[]);

-- name: refused
-- Series of bars whose last request was refused for good: an unknown symbol, or no entitlement.
select source, timeframe, symbol, last_error, last_asked_at from series
where refused and dataset = 'bars' order by symbol collate "C", source collate "C", timeframe limit %(limit)s;

-- name: manifest
-- One row per series: its coverage, and its failures.
select s.source, s.dataset, s.timeframe, s.symbol, s.first_session, s.watermark, s.covered::text as covered,
    s.nothing::text as nothing, s.failures, s.last_error, s.last_asked_at
from series s order by s.source, s.dataset, s.timeframe, s.symbol;
