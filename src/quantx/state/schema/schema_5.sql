-- Version 5 of the schema: sessions that a series lacks, until they are filled or explained.

create table gaps (
    source      text not null,
    dataset     text not null,
    timeframe   text not null,
    symbol      text not null,
    session     date not null,
    status      text not null check (status in ('open', 'filled', 'explained')),
    explanation text,                           -- of an explained one: see quantx.core.healing
    reason      text,
    asked       integer not null,               -- asks that have ended, of all vendors
    asked_at    timestamptz,                    -- when the last one ended
    due_at      timestamptz,                    -- when it is asked for next
    found_at    timestamptz not null default clock_timestamp(),
    changed_at  timestamptz not null default clock_timestamp(),  -- when its status did
    primary key (source, dataset, timeframe, symbol, session)
);
create index gaps_unfilled on gaps (symbol) where status <> 'filled';

-- Who was asked for a gap, and how often, is what the tasks say: a crash between planning and recording changes nothing.
create index tasks_heal on tasks (symbol) where kind = 'heal';
