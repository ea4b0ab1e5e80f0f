-- Version 7 of the schema: the oldest program that works with it. Programs before refuse every newer schema.
-- contracts: needs a program of version 7

alter table schema_version add column oldest_program integer;  -- the schema version that this program has
