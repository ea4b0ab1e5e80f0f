-- name: send
insert into queue_messages (queue, body, visible_at)
select %(queue)s, unnest(%(bodies)s::text[]), clock_timestamp() + make_interval(secs => %(delay)s);

-- name: receive
-- Take visible messages and hide them from other receivers.
update queue_messages set dequeue_count = dequeue_count + 1, receipt = gen_random_uuid(),
    visible_at = clock_timestamp() + make_interval(secs => %(visibility)s)
where id in (
    select id from queue_messages where queue = %(queue)s and visible_at <= clock_timestamp()
    order by visible_at, id limit %(most)s for update skip locked
)
returning id, body, dequeue_count, receipt::text, inserted_at;

-- name: extend
-- Lock rows in one order, so that a worker's two threads (one extends, one deletes) never deadlock.
with held as (
    select id from queue_messages join unnest(%(ids)s::bigint[], %(receipts)s::uuid[]) as d (id, receipt)
        using (id, receipt)
    order by id for update of queue_messages
)
update queue_messages set visible_at = clock_timestamp() + make_interval(secs => %(visibility)s)
where id in (select id from held) returning id;

-- name: delete
with held as (
    select id from queue_messages join unnest(%(ids)s::bigint[], %(receipts)s::uuid[]) as d (id, receipt)
        using (id, receipt)
    order by id for update of queue_messages
)
delete from queue_messages where id in (select id from held) returning id;

-- name: poison
-- Move a message to the poison queue, in one statement.
with gone as (
    delete from queue_messages where id = any(%(ids)s::bigint[]) and receipt = any(%(receipts)s::uuid[]) returning id
)
insert into queue_messages (queue, body) select %(queue)s, %(record)s::text from gone;

-- name: poison_records
select id, body, inserted_at from queue_messages where queue = %(queue)s order by id;

-- name: discard_poison
delete from queue_messages where queue = %(queue)s and id = any(%(ids)s::bigint[]) returning id;

-- name: look
-- Read messages without taking them.
select body, inserted_at from queue_messages where queue = %(queue)s order by id limit %(most)s;

-- name: depth
select count(*) filter (where queue = %(queue)s and visible_at <= clock_timestamp()) as visible,
    count(*) filter (where queue = %(queue)s) as total,
    min(inserted_at) filter (where queue = %(queue)s) as oldest,
    count(*) filter (where queue = %(poison)s) as poisoned
from queue_messages where queue in (%(queue)s, %(poison)s);
