-- What a role needs that plans, works and reports. It owns nothing, so that it can neither make, change nor drop a table.
grant usage on schema quantx to {role};
grant select, insert, update, delete on all tables in schema quantx to {role};
revoke insert, update, delete on quantx.schema_version from {role};
grant usage on all sequences in schema quantx to {role};
grant execute on all functions in schema quantx to {role};

-- And the same for what later versions bring, if the same owner makes them.
alter default privileges in schema quantx grant select, insert, update, delete on tables to {role};
alter default privileges in schema quantx grant usage on sequences to {role};
alter default privileges in schema quantx grant execute on functions to {role};
