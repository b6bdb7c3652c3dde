-- name: enqueue_many
SELECT {schema}.enqueue_many($1::text[], $2::text[]::jsonb[], $3::text[], $4::int[], $5::timestamptz[], $6::int[], $7::text[], $8::text[]::jsonb[], $9, $10);

-- name: wake
-- Wakes workers if a job is due, of jobs that are scheduled at $2. The server tells them once that is committed, which need not wait for its disk.
SELECT pg_catalog.set_config('synchronous_commit', 'off', true), {schema}.notify($1) WHERE (pg_catalog.now() < ALL ($2::timestamptz[])) IS NOT TRUE;

-- name: cancel
SELECT {schema}.cancel($1);

-- name: retry
SELECT {schema}.retry($1);

-- name: retry_completed
SELECT {schema}.retry_completed($1);

-- name: job
-- Where an id was given twice, the job that is not finished, or was enqueued last. A schema that is yet to be migrated has no warnings: there
-- the column is that of elsewhere.
SELECT job.* FROM (SELECT NULL::text AS warning) AS elsewhere CROSS JOIN LATERAL (
    SELECT id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses, coalesce(unique_key, '') AS unique_key, metadata,
           created_at, attempted_at, finalized_at, coalesce(worker_id::text, '') AS worker_id, coalesce(worker_version, '') AS worker_version,
           coalesce(worker_role, '') AS worker_role, attempts, result, coalesce(last_error, '') AS last_error, cancel_requested,
           coalesce(warning, '') AS warning
    FROM {schema}.jobs WHERE id = $1
    ORDER BY finalized_at IS NOT NULL, created_at DESC LIMIT 1
) AS job;

-- name: ids_given
-- The id that was given last, null where the login may not look, and the largest that there is. What is enqueued meanwhile is in the
-- first alone: a sequence is read as it is by then.
SELECT (SELECT CASE WHEN has_sequence_privilege(c.oid, 'USAGE, SELECT') THEN coalesce(pg_sequence_last_value(c.oid), 0) END
        FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relname = 'open_jobs_id_seq'),
    coalesce(greatest((SELECT max(id) FROM {schema}.open_jobs), (SELECT max(id) FROM {schema}.finished_jobs)), 0);

-- name: jobs
SELECT job.* FROM (SELECT NULL::text AS warning) AS elsewhere CROSS JOIN LATERAL (
    SELECT id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses, coalesce(unique_key, '') AS unique_key, metadata,
           created_at, attempted_at, finalized_at, coalesce(worker_id::text, '') AS worker_id, coalesce(worker_version, '') AS worker_version,
           coalesce(worker_role, '') AS worker_role, attempts, result, coalesce(last_error, '') AS last_error, cancel_requested,
           coalesce(warning, '') AS warning
    FROM {schema}.jobs
    WHERE ($1 = '' OR state = $1) AND ($2 = '' OR kind = $2) AND ($3 = '' OR queue = $3) AND ($4::bigint = 0 OR id < $4)
    ORDER BY id DESC LIMIT $5
) AS job
ORDER BY id DESC;

-- name: counts
SELECT queue, kind, state, count, due FROM {schema}.job_counts ORDER BY queue, kind, state;

-- name: workers
-- A heartbeat in the future is of before the clock was set back: here and below such a worker is not live until it renews its lease.
SELECT id::text AS id, pod, version, role, template_hash, state, started_at, heartbeat_at, lease_until, ended_at,
       state IN ('serving', 'draining') AND lease_until > now() AND heartbeat_at < now() + interval '1 second' AS live
FROM {schema}.workers ORDER BY started_at DESC LIMIT $1;

-- name: due
-- By the index, so that what waits in other queues costs nothing, however much it is.
SELECT queue, sum(cardinality(job_ids)) AS jobs, extract(epoch FROM now() - min(run_at))::float8 AS oldest_seconds
FROM {schema}.ready WHERE queue = ANY ($1::text[]) GROUP BY queue;

-- name: other_due
-- What waits in queues that are not in $1: looks between them, at $2 rows at the most.
SELECT coalesce(sum(cardinality(job_ids)), 0) AS jobs, coalesce(extract(epoch FROM now() - min(run_at)), 0)::float8 AS oldest_seconds
FROM (
    SELECT w.job_ids, w.run_at
    FROM (SELECT q AS above, lead(q) OVER (ORDER BY q COLLATE "C") AS below FROM unnest($1::text[] || ''::text) AS q) gap
    CROSS JOIN LATERAL (
        SELECT r.job_ids, r.run_at FROM {schema}.ready r WHERE r.queue > gap.above AND r.queue < gap.below
        UNION ALL
        SELECT r.job_ids, r.run_at FROM {schema}.ready r WHERE r.queue > gap.above AND gap.below IS NULL
    ) w
    LIMIT $2
) waiting;

-- name: depth
SELECT least(coalesce(sum(cardinality(job_ids)), 0), $1) FROM (SELECT job_ids FROM {schema}.ready LIMIT $1) AS waiting;

-- name: tally
SELECT 'ready' AS read, 'available' AS state, least(coalesce(sum(cardinality(job_ids)), 0), $1) AS jobs FROM (SELECT job_ids FROM {schema}.ready LIMIT $1) AS waiting
UNION ALL
SELECT 'later', CASE WHEN run_at > now() THEN state ELSE 'available' END, count(*)
FROM (SELECT run_at, state FROM {schema}.later ORDER BY run_at LIMIT $1) AS waiting GROUP BY 2
UNION ALL
SELECT 'running', 'running', count(*) FROM {schema}.running_jobs r JOIN {schema}.open_jobs j ON j.id = r.id AND j.requeues = r.requeues
UNION ALL
SELECT 'finished', state, sum(jobs)::bigint FROM {schema}.finished_counts GROUP BY state;

-- name: notification_queue_usage
SELECT pg_catalog.pg_notification_queue_usage();

-- name: live_workers
SELECT role, count(*) AS workers FROM {schema}.workers
WHERE state IN ('serving', 'draining') AND lease_until > now() AND heartbeat_at < now() + interval '1 second' GROUP BY role;

-- name: lacking_grants
-- What a worker does to our tables itself; what it calls has its owner's rights.
SELECT current_user::text, coalesce(string_agg(lacking, ', ' ORDER BY lacking), '') FROM (
    SELECT format('%s on table %s', privilege, c.relname) AS lacking
    FROM (VALUES ('claims', '{SELECT,INSERT,DELETE}'::text[]), ('finished_counts', '{INSERT}'), ('finished_jobs', '{SELECT,INSERT}'),
        ('later', '{SELECT,INSERT,UPDATE,DELETE}'), ('open_jobs', '{SELECT,UPDATE,DELETE}'), ('ready', '{SELECT,INSERT,UPDATE,DELETE}'),
        ('slices', '{SELECT}'), ('workers', '{SELECT,INSERT,UPDATE}')) AS needed (name, privileges)
    JOIN pg_class c ON c.relname = needed.name AND c.relnamespace = to_regnamespace($1)
    CROSS JOIN unnest(needed.privileges) AS privilege
    WHERE NOT has_table_privilege(c.oid, privilege)
    UNION ALL
    SELECT format('EXECUTE on function %s', p.proname)
    FROM pg_proc p
    WHERE p.pronamespace = to_regnamespace($1) AND p.proname IN ('add_attempt', 'notify', 'prune') AND NOT has_function_privilege(p.oid, 'EXECUTE')
) AS all_of_them;
