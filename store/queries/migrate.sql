-- name: schema_exists
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1);

-- name: schema_comment
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1;

-- name: has_version_table
SELECT to_regclass($1) IS NOT NULL;

-- name: try_lock
SELECT pg_try_advisory_lock($1, $2);
