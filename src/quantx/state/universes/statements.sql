-- name: put_universe
insert into universes (name, phase, market, source_type, members, refreshed_at, enabled)
values (%(name)s, %(phase)s, %(market)s, %(source_type)s, %(members)s, %(refreshed_at)s, %(enabled)s)
on conflict (name) do update set phase = excluded.phase, market = excluded.market, source_type = excluded.source_type,
    members = excluded.members, refreshed_at = excluded.refreshed_at, enabled = excluded.enabled;

-- name: enable
-- Enable the named universes for daily updates, and disable all others.
update universes set enabled = name = any(%(names)s::text[]) where enabled <> (name = any(%(names)s::text[]));

-- name: remove_members
delete from universe_members where universe = %(universe)s;

-- name: add_members
insert into universe_members (universe, symbol, market, name, member_from, member_to)
select %(universe)s, m.* from unnest(%(symbols)s::text[], %(markets)s::text[], %(names)s::text[], %(froms)s::date[],
    %(tos)s::date[]) as m (symbol, market, name, member_from, member_to);

-- name: symbols
-- The members, and those that left on or after `since`; a disabled universe counts only if it is named.
select distinct m.symbol from universe_members m join universes u on u.name = m.universe
where (m.member_to is null or m.member_to >= %(since)s::date)
  and case when %(universe)s::text is null then u.enabled else u.name = %(universe)s end
  and (%(among)s::text[] is null or u.name = any(%(among)s::text[]))
  and (%(phase)s::text is null or u.phase = %(phase)s) order by m.symbol;

-- name: list_universes
select name, phase, market, source_type, members, refreshed_at from universes order by phase, name;

-- name: freshness
-- The progress of each enabled universe: members by their last curated session, from the source with the newest one.
select u.name, u.phase, u.market, count(*) as members, count(m.watermark) as with_data, min(m.watermark) as oldest,
    max(m.watermark) as newest
from universes u join (
    select m.universe, m.symbol, max(s.watermark) as watermark from universe_members m
    left join series s on s.symbol = m.symbol and s.dataset = 'bars' and s.timeframe = '1d'
    where m.member_to is null group by m.universe, m.symbol
) m on m.universe = u.name
where u.enabled
group by u.name order by u.phase, u.name;
