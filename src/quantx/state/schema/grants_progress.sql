-- What a role needs that only asks whether tasks are in progress.
grant usage on schema quantx to {role};
grant select (state, lease_until, updated_at) on quantx.tasks to {role};
