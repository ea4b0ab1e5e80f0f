-- Version 3 of the schema: findings.

-- What was noticed about data or about the system's own work, until somebody or something settles it.
create table findings (
    id           bigint generated always as identity primary key,
    rule         text not null,                 -- id of the rule that noticed it
    subject      text not null,                 -- what it is about: a symbol, a universe, a vendor, a market
    source       text not null default '',
    dataset      text not null default '',
    first_day    date,                          -- the days that it is about
    last_day     date,
    severity     text not null check (severity in ('error', 'warn', 'info')),
    message      text not null,                 -- the fact and the next step
    facts        jsonb not null default '{}',
    status       text not null default 'open' check (status in ('open', 'acknowledged', 'resolved')),
    first_seen   timestamptz not null default clock_timestamp(),
    last_seen    timestamptz not null default clock_timestamp(),
    settled_at   timestamptz,
    settled_by   text,
    reason       text,
    unique nulls not distinct (rule, subject, source, dataset, first_day)
);
create index findings_open on findings (severity, rule) where status = 'open';
