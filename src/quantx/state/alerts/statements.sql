-- name: lock
-- One process decides at a time.
select pg_advisory_xact_lock(7013042);

-- name: alerts
select key, kind, topic, subject, message, severity, present, begun_at, changed_at, announced, begins
from alerts order by present desc, changed_at desc, key;

-- name: made
-- Messages of the last day by topic. Times after now are those of a clock that was wrong.
select topic, count(*) as messages from alert_messages
where made_at > %(now)s::timestamptz - interval '1 day' and made_at <= %(now)s::timestamptz
    and transition in ('began', 'resolved') group by topic;

-- name: digest_at
select max(made_at) as made_at from alert_messages where transition = 'digest' and made_at <= %(now)s::timestamptz;

-- name: dead
select count(*) as dead from alert_deliveries
where state = 'dead' and changed_at > %(now)s::timestamptz - interval '1 day';

-- name: put_alerts
insert into alerts (key, kind, topic, subject, message, severity, present, begun_at, changed_at, announced, begins)
select key, kind, topic, subject, message, severity, present, begun_at, changed_at, announced,
    array(select jsonb_array_elements_text(begins)::timestamptz)
from jsonb_to_recordset(%(rows)s::jsonb) as n (key text, kind text, topic text, subject text, message text,
    severity text, present boolean, begun_at timestamptz, changed_at timestamptz, announced boolean, begins jsonb)
on conflict (key) do update set message = excluded.message, severity = excluded.severity, present = excluded.present,
    begun_at = excluded.begun_at, changed_at = excluded.changed_at, announced = excluded.announced,
    begins = excluded.begins;

-- name: forget_alerts
delete from alerts where key = any(%(keys)s::text[]);

-- name: put_message
insert into alert_messages (id, topic, transition, severity, title, lines, made_at)
values (%(id)s, %(topic)s, %(transition)s, %(severity)s, %(title)s, %(lines)s::text[], %(made_at)s);

-- name: put_deliveries
insert into alert_deliveries (message, channel, not_before, changed_at)
select %(message)s, channel, %(now)s, %(now)s from unnest(%(channels)s::text[]) as c (channel);

-- name: forget_messages
delete from alert_messages where made_at < %(now)s::timestamptz - interval '30 days';

-- name: waiting
select d.channel, d.attempts, d.not_before, m.id, m.topic, m.transition, m.severity, m.title, m.lines, m.made_at
from alert_deliveries d join alert_messages m on m.id = d.message
where d.state = 'waiting' and d.channel = %(channel)s order by m.made_at, m.id limit %(most)s;

-- name: end_delivery
update alert_deliveries set state = %(state)s, attempts = attempts + 1, last_error = %(error)s,
    changed_at = clock_timestamp()
where message = %(message)s and channel = %(channel)s and state = 'waiting';

-- name: delay_delivery
update alert_deliveries set attempts = attempts + %(count)s, last_error = %(error)s, changed_at = clock_timestamp(),
    not_before = clock_timestamp() + make_interval(secs => %(seconds)s)
where message = %(message)s and channel = %(channel)s and state = 'waiting';

-- name: deliveries
select d.message, m.title, d.channel, d.state, d.attempts, d.not_before, d.last_error, d.changed_at
from alert_deliveries d join alert_messages m on m.id = d.message order by m.made_at desc, m.id desc, d.channel
limit %(most)s;

-- name: record_outcome
insert into job_outcomes as j (job, succeeded_at, failed_at, error)
values (%(job)s, case when %(error)s::text is null then clock_timestamp() end,
    case when %(error)s::text is not null then clock_timestamp() end, %(error)s)
on conflict (job) do update set succeeded_at = coalesce(excluded.succeeded_at, j.succeeded_at),
    failed_at = coalesce(excluded.failed_at, j.failed_at), error = coalesce(excluded.error, j.error);

-- name: outcomes
select job, succeeded_at, failed_at, error from job_outcomes order by job;

-- name: run_problems
-- Runs with tasks that failed permanently and were not retried, by vendor and class of error, and with unfinished tasks.
-- What a daily run or the healing of gaps could not fetch counts no more once its series was fetched later.
with problems as (
    select t.run_id, t.state <> 'failed' as unfinished, t.source, t.error_class, t.last_error
    from tasks t join runs r on r.id = t.run_id
    where r.created_at > clock_timestamp() - make_interval(days => %(days)s)
      and (t.state in ('pending', 'leased', 'landed')
        or (t.state = 'failed' and not t.passed_on and t.retried_by is null
          and not (r.kind in ('daily', 'heal') and exists (
            select from series s where s.failures = 0 and s.last_asked_at > t.updated_at
              and (s.source, s.dataset, s.timeframe, s.symbol) = (t.source, t.dataset, t.timeframe, t.symbol)))))
)
select r.id as run_id, r.kind, r.created_at, bool_or(p.unfinished) over (partition by r.id) as running,
    p.unfinished, p.source, p.error_class, p.tasks, p.error
from (
    select run_id, unfinished, case when not unfinished then source end as source,
        case when not unfinished then error_class end as error_class, count(*) as tasks,
        case when not unfinished then min(last_error) end as error
    from problems group by 1, 2, 3, 4
) p join runs r on r.id = p.run_id order by r.created_at, r.id, p.unfinished, p.source, p.error_class;

-- name: member_progress
-- Members of each enabled universe by what follows the dot in a symbol and the newest session.
select universe, min(symbol) as symbol, watermark, count(*) as members from (
    select m.universe, m.symbol, max(s.watermark) as watermark
    from universe_members m join universes u on u.name = m.universe and u.enabled
    left join series s on s.symbol = m.symbol and s.dataset = 'bars' and s.timeframe = '1d'
    where m.member_to is null group by m.universe, m.symbol
) p group by universe, substring(symbol from '\.[A-Z]+$'), watermark order by universe, symbol;

-- name: open_findings
select rule, severity, subject, source, dataset, first_day, message from findings
where status = 'open' and (severity = 'error' or rule = any(%(rules)s::text[]))
    and rule <> all(%(crowded)s::text[])
order by rule, subject, source, first_day;

-- name: crowded_rules
-- Rules with more open findings than are read one by one.
select rule, count(*) as findings from findings
where status = 'open' and (severity = 'error' or rule = any(%(rules)s::text[]))
group by rule having count(*) > %(most)s;

-- name: refused_since
select source, reason, closed_until, refused_since from quota
where closed_until > clock_timestamp() order by source;
