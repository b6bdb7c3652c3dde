-- name: previews
-- The newest first: the server counts the numbers of its objects up.
SELECT n.nspname::text AS schema, coalesce(has_table_privilege(w.oid, 'SELECT'), false) AS readable
FROM pg_namespace n LEFT JOIN pg_class w ON w.relnamespace = n.oid AND w.relname = 'workers' AND w.relkind = 'r'
WHERE obj_description(n.oid, 'pg_namespace') = $1 AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.oid DESC;

-- name: live_since
SELECT max(started_at) FROM {schema}.workers WHERE state IN ('serving', 'draining') AND lease_until > now()
