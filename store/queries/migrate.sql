-- name: schema_exists
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1);

-- name: schema_comment
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1;

-- name: has_table
SELECT to_regclass($1) IS NOT NULL;

-- name: version_table
-- Whether there is such a table, and row-level security may hide its row from the login.
SELECT to_regclass($1) IS NOT NULL, coalesce(row_security_active(to_regclass($1)), false), current_user::text;

-- name: worked
SELECT EXISTS (SELECT FROM {schema}.workers);

-- name: try_lock
SELECT pg_try_advisory_lock($1, $2);

-- name: lock_holder
SELECT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.xact_start, a.backend_start)
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.objsubid = $3
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1;

-- name: version_revokes
-- What takes from everybody but the owner all that may be done to a version table
-- beyond reading it, on the table or on a column; where this login may take it.
SELECT format('REVOKE %s ON TABLE %I.%I FROM %s CASCADE', string_agg(DISTINCT acl.privilege_type, ', '), n.nspname, c.relname,
    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT * FROM aclexplode(c.relacl)
    UNION ALL
    SELECT x.* FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) x WHERE a.attrelid = c.oid) acl
WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')
  AND acl.grantee <> c.relowner AND acl.privilege_type <> 'SELECT'
GROUP BY n.nspname, c.relname, acl.grantee
ORDER BY c.relname, acl.grantee;

-- name: previews_extension
-- An extension that a login may drop which works previews in this database, and
-- which has no rights on the schema. Superusers may do anything anyway.
SELECT e.extname, p.rolname
FROM pg_extension e, pg_roles p
WHERE NOT p.rolsuper AND pg_has_role(p.oid, e.extowner, 'USAGE')
  AND EXISTS (SELECT FROM pg_namespace n WHERE n.nspowner = p.oid AND obj_description(n.oid, 'pg_namespace') LIKE 'understudy preview of target %')
  AND NOT pg_has_role(p.oid, coalesce((SELECT nspowner FROM pg_namespace WHERE nspname = $1), current_user::regrole), 'USAGE')
ORDER BY e.extname, p.rolname
LIMIT 1;

-- name: try_library_lock
SELECT pg_try_advisory_lock($1::bigint);

-- name: invalid_indexes
SELECT coalesce(string_agg(i.indexrelid::regclass::text, ', '), '')
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND NOT i.indisvalid;

-- name: blockers
SELECT b.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.xact_start, a.backend_start)
FROM (SELECT DISTINCT pid FROM unnest(pg_blocking_pids($1)) AS blocking(pid)) b LEFT JOIN pg_stat_activity a ON a.pid = b.pid
UNION ALL
SELECT -1, '', '', NULL FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'IPC' AND wait_event = 'SyncRep';
