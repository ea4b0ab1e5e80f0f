-- Version 5 of the schema: missing sessions of series, until they are filled or explained.
-- expands

create table gaps (
    source      text not null,
    dataset     text not null,
    timeframe   text not null,
    symbol      text not null,
    session     date not null,
    status      text not null check (status in ('open', 'filled', 'explained')),
    explanation text,                           -- of an explained gap: see quantx.core.gap_schedule
    reason      text,
    asked       integer not null,               -- completed requests, to all vendors
    asked_at    timestamptz,                    -- end of the last one
    due_at      timestamptz,                    -- time of the next request
    found_at    timestamptz not null default clock_timestamp(),
    changed_at  timestamptz not null default clock_timestamp(),  -- last change of its status
    primary key (source, dataset, timeframe, symbol, session)
);
create index gaps_unfilled on gaps (symbol) where status <> 'filled';

-- Tasks record the requests for a gap, so that a crash between planning and recording loses nothing.
create index tasks_heal on tasks (symbol) where kind = 'heal';
