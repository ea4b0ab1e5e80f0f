-- Version 4 of the schema: enabled universes; the symbol history; the first of a vendor's consecutive refusals.
-- expands

alter table universes add column enabled boolean not null default true;  -- false: no longer declared, or disabled

-- A copy of the lake's symbol history, for planning, which reads no tables.
create table symbol_history (
    instrument  text not null,
    symbol      text not null,
    symbol_from date,                           -- null: since before the record began
    symbol_to   date                            -- null: still
);

-- A vendor that refuses repeatedly, each time for a moment, is as unavailable as one in a long back-off.
alter table quota add column refused_since timestamptz;  -- the first refusal after the last answer
