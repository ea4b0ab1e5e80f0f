-- name: record
insert into option_members (archive, stamp, name, bytes, modified, condition, state, last_error)
select %(archive)s, %(stamp)s, m.name, m.bytes, m.modified, m.condition, m.state, m.reason
from unnest(%(names)s::text[], %(sizes)s::bigint[], %(modified)s::date[], %(conditions)s::text[], %(states)s::text[],
    %(reasons)s::text[]) as m (name, bytes, modified, condition, state, reason)
on conflict (archive, stamp, name) do nothing;

-- name: of_archive
select * from option_members where archive = %(archive)s and stamp = %(stamp)s order by name;

-- name: read
select * from option_members where id = %(id)s;

-- name: start
update option_members set
    sha256 = %(sha256)s, raw = case when sha256 = %(sha256)s then raw end,
    started_at = case when sha256 = %(sha256)s then started_at else clock_timestamp() end,
    attempts = attempts + 1, updated_at = clock_timestamp()
where id = %(id)s
returning *;

-- name: keep
update option_members set raw = %(raw)s, updated_at = clock_timestamp() where id = %(id)s;

-- name: imported
select * from option_members
where state = 'done' and sha256 = %(sha256)s and (%(source)s::text is null or source = %(source)s)
order by modified desc nulls last, id limit 1;

-- name: earlier
-- The imported versions of a member, the newest first: by the vendor's date, where it states one, else by the import.
select * from option_members
where state = 'done' and source = %(source)s and schema = %(schema)s and first_day = %(first_day)s
    and last_day = %(last_day)s and sha256 <> %(sha256)s and regexp_replace(name, '^.*/', '') = %(name)s
order by modified desc nulls last, updated_at desc, id desc;

-- name: finish
update option_members set
    state = %(state)s, source = coalesce(%(source)s, source), schema = coalesce(%(schema)s, schema),
    kind = coalesce(%(kind)s, kind), first_day = coalesce(%(first_day)s, first_day),
    last_day = coalesce(%(last_day)s, last_day), modified = coalesce(%(modified)s, modified),
    condition = coalesce(%(condition)s, condition), rows = %(rows)s, rows_changed = %(changed)s,
    rows_rejected = %(rejected)s, error_class = null, last_error = %(reason)s, updated_at = clock_timestamp()
where id = %(id)s;

-- name: fail
update option_members set
    state = 'failed', error_class = %(error_class)s, last_error = %(error)s, updated_at = clock_timestamp()
where id = %(id)s;

-- name: count
select state, count(*) as members from option_members
where %(archive)s::text is null or (archive = %(archive)s and stamp = %(stamp)s) group by state;

-- name: listed
select id, archive, name, state, source, schema, kind, first_day, last_day, rows, rows_changed, rows_rejected, bytes,
    sha256, raw, modified, condition, attempts, error_class, last_error, updated_at
from option_members
where (%(state)s::text is null or state = %(state)s) and (%(archive)s::text is null or archive = %(archive)s)
order by updated_at desc, id desc limit %(limit)s;
