-- Version 2 of the schema: a fleet. Workers that die are counted, failed tasks are retried as new ones, senders take
-- what is to be sent for a while, and a vendor's quota is given out in batches.
-- contracts: needs a program of version 2

alter table tasks
    add column lapses     integer not null default 0,     -- leases that ran out: their holders have died or hung
    add column retried_by bigint references tasks;        -- of a failed task: the one that asks again
create index tasks_leased on tasks (source, dataset, timeframe, symbol) where state = 'leased';
create index tasks_urgent on tasks (id) where state = 'pending' and kind = 'daily';
create index tasks_dead on tasks (id) where state = 'failed' and retried_by is null;

alter table outbox add column taken_until timestamptz not null default '-infinity';

alter table series add column refused boolean not null default false;  -- the last answer was one that stays

alter table quota
    add column slots timestamptz[] not null default '{}',  -- the last requests that were given out, as many as one stretch has
    add column refusals integer not null default 0,        -- in a row, without a time to wait
    drop column next_slot;

-- Reserve up to `wanted` requests, those that may start within `patience`. Each starts a gap after the one before it and
-- a pause after the one that is a whole stretch of requests before it. `doubt` is how exactly the worker knows our time.
create function reserve_slots(
    vendor text, wanted integer, per_stretch integer, gap interval, pause interval, patience interval, doubt interval,
    out starts timestamptz[], out reserved_at timestamptz
) language plpgsql as $$
declare
    known quota;
    start timestamptz;
begin
    select * into known from quota where source = vendor for update;
    reserved_at := clock_timestamp();  -- after the lock
    starts := '{}';
    for n in 1 .. wanted loop
        start := greatest(
            reserved_at, known.closed_until, known.slots[cardinality(known.slots)] + gap,
            known.slots[cardinality(known.slots) - per_stretch + 1] + pause
        );
        exit when start > reserved_at + patience;
        starts := starts || start;
        known.slots := known.slots || start + doubt;  -- it may begin as late as that
    end loop;
    update quota set slots = known.slots[greatest(cardinality(known.slots) - per_stretch + 1, 1) :] where source = vendor;
end $$;

-- Whether a lease has run out. One that ran out while the server was away is no sign of a dead holder: after a restart
-- holders get the length of a lease to come back.
create function server_start() returns timestamptz language sql stable as 'select pg_postmaster_start_time()';

create function lapsed(lease_until timestamptz, lease interval) returns boolean language sql volatile as $$
    select lease_until < clock_timestamp() and not (
        server_start() > clock_timestamp() - lease and lease_until > server_start() - interval '10 min'
    )
$$;

-- Of two rounds at once the second might be committed first, and the lake would take the first for a repetition.
create unique index rounds_unfinished on rounds (dataset) where finished_at is null;
