-- Version 1 of the schema: runs, tasks, landings, curation rounds, series, quota, queue, universes, hot bars.
-- contracts: needs a program of version 1

-- The lake that this database speaks about: what is covered here is stored there.
create table lake (
    id       text primary key,
    state_id text not null                      -- of this database; the lake remembers the newest state that has it
);

create table runs (
    id          text primary key,               -- ULID
    kind        text not null,                  -- backfill, daily or manual
    source      text not null,
    request     jsonb not null,                 -- what was asked, as the trigger understood it
    created_at  timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    skipped     integer not null default 0,     -- symbols for which nothing was missing
    report      text                            -- path of the report in the lake
);

create table tasks (
    id           bigint generated always as identity primary key,
    run_id       text not null references runs,
    kind         text not null,
    source       text not null,
    dataset      text not null,
    timeframe    text not null,
    symbol       text not null,
    window_start date not null,
    window_end   date not null check (window_end >= window_start),
    state        text not null default 'pending' check (state in ('pending', 'leased', 'landed', 'done', 'failed')),
    attempts     integer not null default 0,    -- failures that count
    fence        integer not null default 0,    -- rises with every claim
    lease_owner  text,
    lease_until  timestamptz,                   -- by this database's clock
    not_before   timestamptz not null default clock_timestamp(),
    error_class  text,
    last_error   text,
    rows_new     integer not null default 0,
    rows_changed integer not null default 0,
    rows_same    integer not null default 0,
    rows_rejected integer not null default 0,
    requests     integer not null default 0,    -- requests to the vendor
    created_at   timestamptz not null default clock_timestamp(),
    updated_at   timestamptz not null default clock_timestamp()
);
-- One unfinished task per series and window: two triggers that plan the same work share it.
create unique index tasks_active on tasks (kind, source, dataset, timeframe, symbol, window_start, window_end)
    where state in ('pending', 'leased', 'landed');
create index tasks_by_run on tasks (run_id);
create index tasks_unfinished on tasks (state) where state in ('pending', 'leased', 'landed');

-- Tasks whose message is not in the queue yet.
create table outbox (
    task_id bigint primary key references tasks
);

create table queue_messages (
    id            bigint generated always as identity primary key,
    queue         text not null,
    body          text not null,
    visible_at    timestamptz not null default clock_timestamp(),
    dequeue_count integer not null default 0,
    receipt       uuid,
    inserted_at   timestamptz not null default clock_timestamp()
);
create index queue_messages_visible on queue_messages (queue, visible_at);

create table raw_objects (
    id        bigint generated always as identity primary key,
    path      text not null unique,
    source    text not null,
    dataset   text not null,
    payloads  integer not null,
    bytes     bigint not null,
    landed_at timestamptz not null default clock_timestamp()
);

create table rounds (
    id          bigint generated always as identity primary key,
    dataset     text not null,
    started_at  timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);

-- One row per stored reply: the curator's input.
create table landings (
    id         bigint generated always as identity primary key,
    raw_id     bigint not null references raw_objects,
    raw_row    integer not null,
    task_id    bigint not null references tasks,
    source     text not null,
    dataset    text not null,
    timeframe  text not null,
    symbol     text not null,
    fetched_at timestamptz not null,
    bytes      bigint not null,                 -- of the reply's body
    malformed  text,                            -- why the reply can't be read; such a reply is evidence only
    round_id   bigint references rounds,
    unique (raw_id, raw_row)
);
create index landings_open on landings (dataset, source, timeframe, symbol, fetched_at) where round_id is null;
create index landings_by_round on landings (round_id);

create table series (
    source         text not null,
    dataset        text not null,
    timeframe      text not null,
    symbol         text not null,
    covered        datemultirange not null default '{}',  -- asked and answered
    nothing        datemultirange not null default '{}',  -- asked, and the vendor has nothing
    first_session  date,
    watermark      date,                        -- last session that is curated; never goes back
    asked_through  date,                        -- last session that had settled at the time of the request
    failures       integer not null default 0,  -- in a row
    last_error     text,
    last_asked_at  timestamptz,
    primary key (source, dataset, timeframe, symbol)
);

-- One row per provider: the next free slot, shared by all workers, and the end of the back-off.
create table quota (
    source       text primary key,
    next_slot    timestamptz not null default clock_timestamp(),
    closed_until timestamptz not null default '-infinity',
    reason       text
);

create table universes (
    name         text primary key,
    phase        text not null,
    market       text not null,
    source_type  text not null,
    members      integer not null,
    refreshed_at timestamptz not null
);

create table universe_members (
    universe    text not null references universes,
    symbol      text not null,
    market      text not null,
    name        text,
    member_from date,                           -- null: since before the list began
    member_to   date,                           -- null: still a member
    unique nulls not distinct (universe, symbol, member_from)
);

-- The recent sessions of every series, for reads that must not touch the lake.
create table hot_bars (
    source     text not null,
    symbol     text not null,
    date       date not null,
    open       double precision not null,
    high       double precision not null,
    low        double precision not null,
    close      double precision not null,
    volume     bigint not null,
    currency   text,
    known_from timestamptz not null,
    primary key (source, symbol, date)
);
