-- name: note
-- Insert findings, or update those with the same key. A resolved one is open again. An acknowledged one stays
-- acknowledged, unless `times` in its facts has grown: then it is open again and keeps its reason.
insert into findings as f (rule, subject, source, dataset, first_day, last_day, severity, message, facts)
select n.rule, n.subject, n.source, n.dataset, n.first_day, n.last_day, n.severity, n.message, n.facts::jsonb
from unnest(%(rules)s::text[], %(subjects)s::text[], %(sources)s::text[], %(datasets)s::text[], %(firsts)s::date[],
            %(lasts)s::date[], %(severities)s::text[], %(messages)s::text[], %(facts)s::text[])
    as n (rule, subject, source, dataset, first_day, last_day, severity, message, facts)
order by n.rule, n.subject, n.source, n.dataset, n.first_day
on conflict (rule, subject, source, dataset, first_day) do update set
    last_day = excluded.last_day, severity = excluded.severity, message = excluded.message, facts = excluded.facts,
    last_seen = clock_timestamp(),
    status = case when f.status = 'resolved' or (f.status = 'acknowledged'
        and (excluded.facts ->> 'times')::numeric > coalesce((f.facts ->> 'times')::numeric, 1)) then 'open'
        else f.status end,
    settled_at = case f.status when 'resolved' then null else f.settled_at end,
    settled_by = case f.status when 'resolved' then null else f.settled_by end,
    reason = case f.status when 'resolved' then null else f.reason end
returning (xmax = 0) as new;

-- name: resolve
-- Resolve the open findings of a rule about these subjects.
update findings set status = 'resolved', settled_at = clock_timestamp(), settled_by = 'quantx', reason = %(reason)s
where rule = %(rule)s and subject = any(%(subjects)s::text[]) and status = 'open'
returning id;

-- name: resolve_unseen
-- Resolve the open findings of these rules (in a dataset of a source, or in all) that are not in found_*. `within`: only
-- those about these subjects whose days lie within the days of the subject.
update findings f set status = 'resolved', settled_at = clock_timestamp(), settled_by = 'quantx', reason = %(reason)s
where f.rule = any(%(rules)s::text[]) and f.status = 'open'
  and (%(source)s::text is null or f.source = %(source)s) and (%(dataset)s::text is null or f.dataset = %(dataset)s)
  and (%(subjects)s::text[] is null or f.subject = any(%(subjects)s::text[]))
  and (%(within)s::text[] is null or exists (
    select from unnest(%(within)s::text[], %(froms)s::date[], %(tos)s::date[]) as d (subject, first, last)
    where d.subject = f.subject and f.first_day >= d.first and f.last_day <= d.last))
  and not exists (
    select from unnest(%(found_rules)s::text[], %(found_subjects)s::text[], %(found_sources)s::text[],
                       %(found_datasets)s::text[], %(found_firsts)s::date[])
        as n (rule, subject, source, dataset, first_day)
    where (n.rule, n.subject, n.source, n.dataset) = (f.rule, f.subject, f.source, f.dataset)
      and n.first_day is not distinct from f.first_day)
returning f.id;

-- name: close
-- Acknowledge or resolve a finding that does not have that status yet.
update findings set status = %(status)s, settled_at = clock_timestamp(), settled_by = %(by)s, reason = %(reason)s
where id = %(id)s and status <> %(status)s returning id;

-- name: list_open
-- All open findings of a rule.
select id, rule, severity, subject, message, source, dataset, first_day, last_day, facts
from findings
where status = 'open' and rule = %(rule)s and (%(source)s::text is null or source = %(source)s)
  and (%(dataset)s::text is null or dataset = %(dataset)s)
  and (%(subjects)s::text[] is null or subject = any(%(subjects)s::text[]))
order by subject collate "C", source collate "C", dataset collate "C", first_day nulls first;

-- name: list_findings
-- Findings for display, by severity and the latest first; `limit` null: all of them. Only their ids are sorted.
with chosen as (
    select id, array_position(array['error', 'warn', 'info'], severity) as place from findings
    where (%(status)s::text is null or status = %(status)s) and (%(rule)s::text is null or rule = %(rule)s)
      and (%(subject)s::text is null or subject = %(subject)s) and (%(source)s::text is null or source = %(source)s)
      and (%(severity)s::text is null or severity = %(severity)s)
    order by place, last_seen desc, id desc
    limit %(limit)s::bigint offset %(offset)s::bigint
)
select f.id, f.rule, f.subject, f.source, f.dataset, f.first_day, f.last_day, f.severity, f.message, f.facts, f.status,
       f.first_seen, f.last_seen, f.settled_at, f.settled_by, f.reason
from findings f join chosen c on c.id = f.id order by c.place, f.last_seen desc, f.id desc;

-- name: find
-- A finding by its id.
select id, rule, subject, source, dataset, first_day, last_day, severity, message, facts, status, first_seen, last_seen,
       settled_at, settled_by, reason
from findings where id = %(id)s;

-- name: count
-- The number of findings of each rule, by status and severity.
select rule, status, severity, count(*) as findings from findings
where (%(subject)s::text is null or subject = %(subject)s) and (%(source)s::text is null or source = %(source)s)
group by rule, status, severity;

-- name: count_open
-- The number of open findings by severity.
select severity, count(*) as findings from findings where status = 'open' group by severity;
