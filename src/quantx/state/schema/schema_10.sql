-- Version 10 of the schema: the members of option archives.
-- expands

create table option_members (
    id bigint generated always as identity primary key,
    archive text not null,  -- its path, or its object in the lake's inbox
    stamp text not null,  -- changes with the archive: its size and time, or its ETag
    name text not null,  -- of the member
    bytes bigint not null,
    modified date,  -- the vendor's last_modified_date
    condition text,  -- of the vendor: available, degraded, pending, missing
    state text not null default 'pending' check (state in ('pending', 'done', 'failed', 'skipped', 'superseded')),
    sha256 text,
    raw text,  -- the ULID of its raw object, once that is stored
    started_at timestamptz,  -- of the first attempt at these bytes: the time in its raw object
    attempts integer not null default 0,
    error_class text,
    last_error text,
    source text,
    schema text,
    kind text,
    first_day date,
    last_day date,
    rows bigint not null default 0,
    rows_changed bigint not null default 0,
    rows_rejected bigint not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    unique (archive, stamp, name)
);
create index option_members_content on option_members (sha256) where state = 'done';
create index option_members_unfinished on option_members (id) where state in ('pending', 'failed');
