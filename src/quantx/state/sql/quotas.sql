-- name: add_source
insert into quota (source) values (%(source)s) on conflict do nothing;

-- name: reserve
-- Reserve requests for all workers together, in one statement. They come in batches of %(limit)s: the first may start
-- when the pause after the batch before is over, and each has its place in its batch. Nothing is reserved where the
-- first would have to wait longer than %(patience)s.
with mine as (
    select window_start, used, closed_until from quota where source = %(source)s for update
), seen as (  -- the time is taken after the lock
    select *, clock_timestamp() as now, make_interval(secs => %(pause)s) as pause,
        make_interval(secs => %(gap)s) as gap from mine
), batch as (
    select now, gap, closed_until,
        case when used >= %(limit)s then greatest(window_start + pause, now, closed_until)
             when now >= window_start + used * gap + pause then now
             else window_start end as window_start,
        case when used >= %(limit)s or now >= window_start + used * gap + pause then 0 else used end as used
    from seen
), place as (
    select *, greatest(window_start + used * gap, now, closed_until) as first from batch
)
update quota q set window_start = p.first - p.used * p.gap, used = p.used + least(%(count)s, %(limit)s - p.used)
from place p
where q.source = %(source)s and p.first - p.now <= make_interval(secs => %(patience)s)
returning p.first as at, p.now as reserved_at, least(%(count)s, %(limit)s - p.used) as granted;

-- name: close
-- The vendor wants to be left alone: nobody asks until then.
insert into quota as q (source, closed_until, reason)
values (%(source)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(reason)s)
on conflict (source) do update set 
    closed_until = greatest(q.closed_until, excluded.closed_until),
    reason = case when excluded.closed_until > q.closed_until then excluded.reason else q.reason end;

-- name: closed_for
select extract(epoch from closed_until - clock_timestamp())::float8 as seconds from quota
where source = %(source)s and closed_until > clock_timestamp();

-- name: open_from
-- Where there is no quota: from when on the vendor may be asked.
with known as (select clock_timestamp() as now, max(closed_until) as closed_until from quota where source = %(source)s)
select now as reserved_at, greatest(now, closed_until) as at from known
where greatest(now, closed_until) <= now + make_interval(secs => %(patience)s);

-- name: closed
select source, closed_until, reason from quota where closed_until > clock_timestamp() order by source;
