-- name: recent_jobs
-- Each slice has an index on id, and none has one on time: of the jobs that were enqueued last, the ones that were at work last. Arguments and
-- results, which may be large, stay where they are.
WITH finished AS (
    SELECT id, kind, state, attempted_at, finalized_at, worker_version, worker_role
    FROM {schema}.finished_jobs ORDER BY id DESC LIMIT $2
), running AS (
    SELECT j.id, j.kind, 'running' AS state, r.claimed_at AS attempted_at, NULL::timestamptz AS finalized_at, r.worker_version, r.worker_role
    FROM {schema}.running_jobs r JOIN {schema}.open_jobs j ON j.id = r.id AND j.requeues = r.requeues
    ORDER BY r.claimed_at DESC, j.id DESC LIMIT $1
)
SELECT id, kind, state, attempted_at, finalized_at, coalesce(worker_version, '') AS worker_version, coalesce(worker_role, '') AS worker_role
FROM (SELECT * FROM finished UNION ALL SELECT * FROM running) work
ORDER BY coalesce(finalized_at, attempted_at) DESC, id DESC LIMIT $1;
