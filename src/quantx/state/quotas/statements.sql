-- name: add_source
insert into quota (source) values (%(source)s) on conflict do nothing;

-- name: reserve
-- Reserve requests for all workers together, in one statement.
select starts, reserved_at from reserve_slots(
    %(source)s, %(count)s, %(limit)s, make_interval(secs => %(gap)s), make_interval(secs => %(pause)s),
    make_interval(secs => %(longest_wait)s), make_interval(secs => %(doubt)s)
);

-- name: close
-- Put a vendor in back-off.
insert into quota as q (source, closed_until, reason, refused_since)
values (%(source)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(reason)s, clock_timestamp())
on conflict (source) do update set
    refused_since = coalesce(
        case when q.closed_until > clock_timestamp() - interval '15 min' then q.refused_since end, clock_timestamp()),
    closed_until = greatest(q.closed_until, excluded.closed_until),
    reason = case when excluded.closed_until > q.closed_until then excluded.reason else q.reason end;

-- name: refuse
insert into quota as q (source, closed_until, refusals, reason, refused_since)
values (%(source)s, clock_timestamp() + make_interval(secs => %(first)s), 1, %(reason)s, clock_timestamp())
on conflict (source) do update set
    refused_since = coalesce(
        case when q.closed_until > clock_timestamp() - interval '15 min' then q.refused_since end, clock_timestamp()),
    closed_until = clock_timestamp() + make_interval(secs => least(%(first)s * 2 ^ least(q.refusals, 30), %(longest)s)),
    refusals = q.refusals + 1, reason = excluded.reason
where q.closed_until <= clock_timestamp() - make_interval(secs => %(age)s)
returning extract(epoch from q.closed_until - clock_timestamp())::float8 as seconds;

-- name: accept
-- A vendor that has no row, because it has no quota, was never refused.
with ended as (
    update quota set refusals = 0, refused_since = null where source = %(source)s and closed_until <= clock_timestamp()
)
select not exists (select from quota where source = %(source)s and closed_until > clock_timestamp()) as open;

-- name: closed_for
select extract(epoch from closed_until - clock_timestamp())::float8 as seconds from quota
where source = %(source)s and closed_until > clock_timestamp();

-- name: refused_for
select extract(epoch from clock_timestamp() - refused_since)::float8 as seconds from quota
where source = %(source)s and refused_since is not null;

-- name: opens_in
-- Seconds without a free slot: the vendor is in back-off, or its quota is used up.
select extract(epoch from greatest(
    closed_until, slots[cardinality(slots)] + make_interval(secs => %(gap)s),
    slots[cardinality(slots) - %(limit)s + 1] + make_interval(secs => %(pause)s)
) - clock_timestamp())::float8 as seconds from quota where source = %(source)s;

-- name: open_from
-- Without a quota: the end of the back-off.
with known as (select clock_timestamp() as now, max(closed_until) as closed_until from quota where source = %(source)s)
select now as reserved_at, greatest(now, closed_until) as at from known
where greatest(now, closed_until) <= now + make_interval(secs => %(longest_wait)s);

-- name: used
-- The requests of the last `seconds`, of those that a quota counts.
select count(*) as used from quota, unnest(slots) as slot
where source = %(source)s and slot > clock_timestamp() - make_interval(secs => %(seconds)s);

-- name: closed
select source, closed_until, reason from quota where closed_until > clock_timestamp() order by source;
