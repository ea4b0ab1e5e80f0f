-- Version 8 of the schema: an audit of the actions of operators.
-- expands

-- What a person has done, and why. The request id makes a repeated request the same one.
create table audit (
    id           bigint generated always as identity primary key,
    request_id   text not null unique,
    begun_at     timestamptz not null default clock_timestamp(),
    ended_at     timestamptz,
    actor        text not null,                 -- a login, or the name of a signed-in principal
    place        text not null,                 -- where it was requested: dashboard or command
    action       text not null,                 -- as in tasks.retry
    subject      text not null,                 -- what it is about
    reason       text not null,
    facts        jsonb not null default '{}',   -- the other values of the request
    outcome      text not null default 'begun' check (outcome in ('begun', 'done', 'failed')),
    message      text                           -- of the outcome
);
