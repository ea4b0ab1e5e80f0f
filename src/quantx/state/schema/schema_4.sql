-- Version 4 of the schema: universes that take part in daily updates, or do not; who carried which symbol when; since when
-- a vendor refuses.

alter table universes add column enabled boolean not null default true;  -- false: not declared any more, or not enabled

-- What the lake knows of symbols, for planning, which reads no tables.
create table symbol_history (
    instrument  text not null,
    symbol      text not null,
    symbol_from date,                           -- null: since before the record began
    symbol_to   date                            -- null: still
);

-- A vendor that refuses again and again, each time for a moment, is as good as closed.
alter table quota add column refused_since timestamptz;  -- the first refusal after the last answer
