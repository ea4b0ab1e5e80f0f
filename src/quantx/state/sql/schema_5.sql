-- Version 5 of the schema: universes that take part in daily updates, or do not.

alter table universes add column enabled boolean not null default true;  -- false: not declared any more, or not enabled
