-- Version 4 of the schema: universes that take part in daily updates, or do not; who carried which symbol when.

alter table universes add column enabled boolean not null default true;  -- false: not declared any more, or not enabled

-- What the lake knows of symbols, for planning, which reads no tables.
create table symbol_history (
    instrument  text not null,
    symbol      text not null,
    symbol_from date,                           -- null: since before the record began
    symbol_to   date                            -- null: still
);
