-- Version 2 of the schema: a fleet. Workers that die are counted, failed tasks are retried as new ones, senders take
-- what is to be sent for a while, and a vendor's quota is given out in batches.

alter table tasks
    add column lapses     integer not null default 0,     -- leases that ran out: their holders have died or hung
    add column retried_by bigint references tasks;        -- of a failed task: the one that asks again
create index tasks_leased on tasks (source, dataset, timeframe, symbol) where state = 'leased';
create index tasks_urgent on tasks (id) where state = 'pending' and kind = 'daily';
create index tasks_dead on tasks (id) where state = 'failed' and retried_by is null;

alter table outbox add column taken_until timestamptz not null default '-infinity';

alter table series add column refused boolean not null default false;  -- the last answer was one that stays

alter table quota
    add column window_start timestamptz not null default '-infinity',  -- of the batch that is being given out
    add column used         integer not null default 0,                -- requests of the batch
    drop column next_slot;

-- Of two rounds at once the second might be committed first, and the lake would take the first for a repetition.
create unique index rounds_unfinished on rounds (dataset) where finished_at is null;
