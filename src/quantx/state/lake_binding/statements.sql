-- name: now
select clock_timestamp() as now;

-- name: binding
select id, state_id from lake;

-- name: took_over
update lake set state_id = replace(state_id, %(new)s, '');

-- name: bind_lake
-- Record the lake on first use; return the recorded one.
with bound as (
    insert into lake (id, state_id) select %(id)s, %(state_id)s where not exists (select 1 from lake)
    on conflict do nothing returning id, state_id
)
select id, state_id from bound union all select id, state_id from lake;
