-- name: send
insert into queue_messages (queue, body, visible_at)
select %(queue)s, unnest(%(bodies)s::text[]), clock_timestamp() + make_interval(secs => %(delay)s);

-- name: receive
-- Take visible messages and hide them; another receiver skips them.
update queue_messages set dequeue_count = dequeue_count + 1, receipt = gen_random_uuid(),
    visible_at = clock_timestamp() + make_interval(secs => %(visibility)s)
where id in (
    select id from queue_messages where queue = %(queue)s and visible_at <= clock_timestamp()
    order by visible_at, id limit %(most)s for update skip locked
)
returning id, body, dequeue_count, receipt::text, inserted_at;

-- name: extend
update queue_messages set visible_at = clock_timestamp() + make_interval(secs => %(visibility)s)
where id = %(id)s and receipt = %(receipt)s::uuid returning id;

-- name: delete
delete from queue_messages where id = %(id)s and receipt = %(receipt)s::uuid returning id;

-- name: depth
select count(*) filter (where visible_at <= clock_timestamp()) as visible, count(*) as total,
    min(inserted_at) as oldest from queue_messages where queue = %(queue)s;
