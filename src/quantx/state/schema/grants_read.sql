-- What a role needs that only reads rows.
grant usage on schema quantx to {role};
grant select on all tables in schema quantx to {role};

-- And the same for what later versions bring, if the same owner makes them.
alter default privileges in schema quantx grant select on tables to {role};
