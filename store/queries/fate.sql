-- name: fates
-- Where an id was given twice, the job that is not finished, or was enqueued last.
SELECT DISTINCT ON (j.id) j.id, j.state, j.attempt, coalesce(j.last_error, '') AS last_error, coalesce(j.worker_id::text, '') AS worker_id,
       coalesce(w.pod, '') AS pod, coalesce(j.worker_version, '') AS version, coalesce(j.worker_role, '') AS role,
       coalesce(w.template_hash, '') AS template_hash
FROM {schema}.jobs j LEFT JOIN {schema}.workers w ON w.id = j.worker_id
WHERE j.id = ANY ($1::bigint[])
ORDER BY j.id, j.finalized_at IS NOT NULL, j.created_at DESC;

-- name: live
SELECT id::text AS id, pod, version, role, template_hash, state, started_at, heartbeat_at, lease_until, ended_at, true AS live
FROM {schema}.workers
-- A heartbeat in the future is of before the clock was set back.
WHERE state IN ('serving', 'draining') AND lease_until > now() AND heartbeat_at < now() + interval '1 second'
ORDER BY started_at DESC;

-- name: now
SELECT now();
