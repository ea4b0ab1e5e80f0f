-- Version 9 of the schema: alerts: their state, the outbox of messages, and the outcomes of jobs.
-- expands

-- Conditions over time.
create table alerts (
    key        text primary key,
    kind       text not null,                   -- id of the alert rule
    topic      text not null,                   -- conditions of one topic share messages
    subject    text not null,
    message    text not null,
    severity   text not null check (severity in ('error', 'warn', 'info')),
    present    boolean not null,
    begun_at   timestamptz not null,
    changed_at timestamptz not null,            -- of `present`
    announced  boolean not null,                -- the last message reported the beginning
    begins     timestamptz[] not null           -- of the last day
);

create table alert_messages (
    id         text primary key,                -- ULID: the same in each attempt
    topic      text not null,
    transition text not null check (transition in ('began', 'resolved', 'digest', 'test')),
    severity   text not null,
    title      text not null,
    lines      text[] not null,
    made_at    timestamptz not null
);
create index alert_messages_recent on alert_messages (made_at);

-- The outbox: one row per message and channel.
create table alert_deliveries (
    message    text not null references alert_messages on delete cascade,
    channel    text not null,
    state      text not null default 'waiting' check (state in ('waiting', 'sent', 'dead')),
    attempts   integer not null default 0,
    not_before timestamptz not null,
    last_error text,                            -- without an address or a secret
    changed_at timestamptz not null,
    primary key (message, channel)
);
create index alert_deliveries_waiting on alert_deliveries (channel, message) where state = 'waiting';

-- How jobs outside of runs ended last, as backup.
create table job_outcomes (
    job          text primary key,
    succeeded_at timestamptz,
    failed_at    timestamptz,
    error        text
);
