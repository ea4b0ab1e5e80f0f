-- Make an identity (service) or a group known to PostgreSQL, without any right: `quantx migrate --grant` gives it those that
-- it needs.
-- By object id and not by name, since two directories' identities may have the same name.
select pgaadauth_create_principal_with_oid(%(name)s, %(object_id)s, %(kind)s, false, false)
where not exists (select from pg_catalog.pg_roles where rolname = %(name)s)
