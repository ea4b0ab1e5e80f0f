-- name: begin
-- Record that an action begins, unless its request id is recorded already.
insert into audit (request_id, actor, place, action, subject, reason, facts)
values (%(request_id)s, %(actor)s, %(place)s, %(action)s, %(subject)s, %(reason)s, %(facts)s::jsonb)
on conflict (request_id) do nothing returning id;

-- name: end
-- Record the outcome of an action that has begun.
update audit set outcome = %(outcome)s, message = %(message)s, ended_at = clock_timestamp()
where request_id = %(request_id)s and outcome = 'begun';

-- name: find
-- An action by its request id.
select id, request_id, begun_at, ended_at, actor, place, action, subject, reason, facts, outcome, message
from audit where request_id = %(request_id)s;

-- name: listed
-- Actions, the newest first.
select id, request_id, begun_at, ended_at, actor, place, action, subject, reason, facts, outcome, message
from audit
where (%(action)s::text is null or action = %(action)s) and (%(actor)s::text is null or actor = %(actor)s)
  and (%(before)s::bigint is null or id < %(before)s)
order by id desc limit %(limit)s::bigint;
