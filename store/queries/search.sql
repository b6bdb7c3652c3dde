-- name: search_limits
SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('jit', 'off', true);

-- name: search_floor
-- The lowest of the next so many ids below one, and how many there are: of jobs
-- that are not finished if $3, of the running alone if $4, of the finished if $5.
SELECT coalesce(min(id), 0) AS lowest, count(*) AS ids
FROM (
    SELECT id
    FROM (
        (SELECT id FROM {schema}.open_jobs WHERE $3 AND id < $1 ORDER BY id DESC LIMIT $2)
        UNION ALL
        (SELECT id FROM {schema}.running_jobs WHERE $4 AND id < $1 ORDER BY id DESC LIMIT $2)
        UNION ALL
        (SELECT id FROM {schema}.finished_jobs WHERE $5 AND id < $1 ORDER BY id DESC LIMIT $2)
    ) AS below
    ORDER BY id DESC LIMIT $2
) AS next;

-- name: search
-- Jobs with ids from $1 to below $2; $3 to $5 say which ones as above. States are
-- those of the view jobs. Only what is on the page is cut to what is shown of it.
SELECT id, queue, kind, state, attempt, max_attempts, scheduled_at, attempted_at, finalized_at, cancel_requested,
       coalesce(worker_version, '') AS worker_version, coalesce(worker_role, '') AS worker_role,
       left(args::text, $13::int) AS args, left(coalesce(last_error, ''), $13::int) AS last_error, left(coalesce(warning, ''), $13::int) AS warning
FROM (
    SELECT *
    FROM (
        SELECT j.id, j.queue, j.kind, j.args,
               CASE WHEN r.worker_id IS NOT NULL THEN 'running'
                    WHEN j.scheduled_at > now() THEN j.waiting_state
                    ELSE 'available' END AS state,
               j.attempt + CASE WHEN r.worker_id IS NULL THEN 0 ELSE 1 END AS attempt, j.max_attempts,
               j.scheduled_at, coalesce(r.claimed_at, j.attempted_at) AS attempted_at, NULL::timestamptz AS finalized_at, j.cancel_requested,
               r.worker_version, r.worker_role, j.unique_key, j.metadata, NULL::jsonb AS result, j.last_error, NULL::text AS warning
        FROM {schema}.open_jobs j
        LEFT JOIN {schema}.running_jobs r ON r.id = j.id AND r.requeues = j.requeues
        WHERE $3 AND j.id >= $1 AND j.id < $2
        UNION ALL
        SELECT j.id, j.queue, j.kind, j.args, 'running', j.attempt + 1, j.max_attempts,
               j.scheduled_at, r.claimed_at, NULL, j.cancel_requested,
               r.worker_version, r.worker_role, j.unique_key, j.metadata, NULL, j.last_error, NULL
        FROM {schema}.running_jobs r
        JOIN {schema}.open_jobs j ON j.id = r.id AND j.requeues = r.requeues
        WHERE $4 AND r.id >= $1 AND r.id < $2
        UNION ALL
        SELECT f.id, f.queue, f.kind, f.args, f.state, f.attempt, f.max_attempts,
               f.scheduled_at, f.attempted_at, f.finalized_at, false,
               f.worker_version, f.worker_role, f.unique_key, f.metadata, f.result, f.last_error, f.warning
        FROM {schema}.finished_jobs f
        WHERE $5 AND f.id >= $1 AND f.id < $2
    ) AS looked_at
    WHERE ($6 = '' OR state = $6) AND ($7 = '' OR kind = $7) AND ($8 = '' OR queue = $8) AND id <> $11
      AND CASE
          WHEN $9 = '' THEN true
          WHEN $10 THEN args::text COLLATE "C" ILIKE $9 OR metadata::text COLLATE "C" ILIKE $9 OR unique_key COLLATE "C" ILIKE $9
              OR last_error COLLATE "C" ILIKE $9 OR result::text COLLATE "C" ILIKE $9 OR warning COLLATE "C" ILIKE $9
          ELSE args::text COLLATE "default" ILIKE $9 OR metadata::text COLLATE "default" ILIKE $9 OR unique_key COLLATE "default" ILIKE $9
              OR last_error COLLATE "default" ILIKE $9 OR result::text COLLATE "default" ILIKE $9 OR warning COLLATE "default" ILIKE $9
          END
    ORDER BY id DESC LIMIT $12
) AS page
ORDER BY id DESC;
