-- name: schema_exists
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1);

-- name: schema_comment
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1;

-- name: has_table
SELECT to_regclass($1) IS NOT NULL;

-- name: worked
SELECT EXISTS (SELECT FROM {schema}.workers);

-- name: try_lock
SELECT pg_try_advisory_lock($1, $2);

-- name: lock_holder
SELECT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, '')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = $1 AND l.objid::bigint = $2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1;
