-- Version 3 of the schema: findings, replies about several symbols, vendor fallback.
-- contracts: needs a program of version 3

-- Quality observations about data or about the system's own work, until they are acknowledged or resolved.
create table findings (
    id           bigint generated always as identity primary key,
    rule         text not null,                 -- id of the broken rule
    subject      text not null,                 -- a symbol, a universe, a vendor or a market
    source       text not null default '',
    dataset      text not null default '',
    first_day    date,                          -- first and last day of the observation
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

-- A reply may be about several symbols, and a symbol's reply may lie on several pages, which are rows of one raw object.
alter table landings
    add column raw_rows integer not null default 1,     -- from raw_row on
    drop constraint landings_raw_id_raw_row_key,
    add unique (raw_id, raw_row, task_id);

-- A round holds replies of all datasets; still one at a time.
drop index rounds_unfinished;
alter table rounds drop column dataset;
create unique index rounds_unfinished on rounds ((true)) where finished_at is null;

-- A task that its vendor can't serve passes on to the next vendor in its order, as a new task (retried_by).
alter table tasks
    add column fallback text[] not null default '{}',
    add column passed_on boolean not null default false;
create index tasks_mates on tasks (source, dataset, timeframe, window_start, window_end) where state = 'pending';

-- The current tasks for these: a task that was passed on is replaced by its successor.
create function standing_for(ids bigint[]) returns setof bigint language sql stable as $$
    with recursive chain as (
        select id, passed_on, retried_by from tasks where id = any(ids)
        union
        select n.id, n.passed_on, n.retried_by from chain c join tasks n on n.id = c.retried_by where c.passed_on
    )
    select id from chain where not passed_on
$$;
