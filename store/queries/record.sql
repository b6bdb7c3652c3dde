-- name: finish
WITH held AS MATERIALIZED (
    SELECT u.id, u.requeues, u.state, u.attempted_at, u.result, u.error
    FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
        AS u (id, requeues, number, state, attempted_at, result, error)
    WHERE u.number = ANY (ARRAY(SELECT number FROM {schema}.claims WHERE worker_id = $1::uuid))
), gone AS (
    DELETE FROM {schema}.open_jobs j USING held h
    WHERE j.id = h.id AND j.requeues = h.requeues
    RETURNING j.*, h.attempted_at AS started_at, h.result, h.error,
        CASE WHEN h.state = 'discarded' AND j.cancel_requested THEN 'cancelled' ELSE h.state END AS state
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, result, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        id, queue, kind, args, state, priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, started_at, $1::uuid, $9, $10, past_attempts, result::jsonb, coalesce(error, last_error)
    FROM gone
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, state, count(*)
    FROM gone GROUP BY queue, kind, state
), emptied AS (
    DELETE FROM {schema}.claims WHERE worker_id = $1::uuid AND number = ANY ($11::bigint[])
)
SELECT CASE WHEN count(*) < cardinality($2::bigint[]) THEN coalesce(array_agg(id), '{}') END FROM gone;

-- name: requeue
WITH held AS MATERIALIZED (
    SELECT u.id, u.requeues, u.verdict, u.delay, u.attempted_at, u.error
    FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::float8[], $7::timestamptz[], $8::text[])
        AS u (id, requeues, number, verdict, delay, attempted_at, error)
    WHERE u.number = ANY (ARRAY(SELECT number FROM {schema}.claims WHERE worker_id = $1::uuid))
), locked AS MATERIALIZED (
    SELECT j.id, j.cancel_requested, h.verdict, h.delay, h.attempted_at, h.error
    FROM held h JOIN {schema}.open_jobs j ON j.id = h.id AND j.requeues = h.requeues
    FOR UPDATE OF j
), back AS (
    UPDATE {schema}.open_jobs j
    SET requeues = j.requeues + 1,
        attempt = j.attempt + CASE WHEN l.verdict = 'retried' THEN 1 ELSE 0 END,
        waiting_state = CASE l.verdict WHEN 'retried' THEN 'retryable' WHEN 'snoozed' THEN 'scheduled' ELSE 'available' END,
        scheduled_at = CASE WHEN l.verdict = 'released' THEN j.scheduled_at ELSE now() + make_interval(secs => l.delay) END,
        attempted_at = CASE WHEN l.verdict = 'released' THEN j.attempted_at ELSE l.attempted_at END,
        past_attempts = CASE WHEN l.verdict = 'retried'
            THEN {schema}.add_attempt(j.past_attempts, j.attempt + 1, $1::uuid, $9, $10, l.attempted_at, now(), l.error)
            ELSE j.past_attempts END,
        last_error = coalesce(l.error, j.last_error)
    FROM locked l WHERE j.id = l.id AND NOT l.cancel_requested
    RETURNING j.id, j.queue, j.kind, j.priority, j.scheduled_at, j.requeues, j.waiting_state
), due AS (
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, requeues)
    SELECT queue, kind, priority, scheduled_at, id, requeues FROM back WHERE scheduled_at <= now()
    RETURNING 1
), not_yet AS (
    INSERT INTO {schema}.later (run_at, job_id, queue, kind, state, priority, requeues)
    SELECT scheduled_at, id, queue, kind, waiting_state, priority, requeues FROM back WHERE scheduled_at > now()
), gone AS (
    DELETE FROM {schema}.open_jobs j USING locked l
    WHERE j.id = l.id AND l.cancel_requested
    RETURNING j.*, l.attempted_at AS started_at, l.error
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        id, queue, kind, args, 'cancelled', priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, started_at, $1::uuid, $9, $10, past_attempts, coalesce(error, last_error)
    FROM gone
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, 'cancelled', count(*)
    FROM gone GROUP BY queue, kind
), emptied AS (
    DELETE FROM {schema}.claims WHERE worker_id = $1::uuid AND number = ANY ($11::bigint[])
)
SELECT CASE WHEN count(*) < cardinality($2::bigint[]) THEN coalesce(array_agg(id), '{}') END,
       (SELECT CASE WHEN count(*) > 0 THEN pg_notify($12, '') END FROM due)
FROM locked;

-- name: complete_in_tx
-- The worker's row is read, not given: a handler's transaction knows only its job.
WITH gone AS (
    DELETE FROM {schema}.open_jobs j
    USING {schema}.claims c
    WHERE j.id = $1 AND j.requeues = $2 AND c.worker_id = $3::uuid AND c.number = $4
    RETURNING j.*
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, result, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        g.id, queue, kind, args, 'completed', priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, $5, w.id, w.version, w.role, past_attempts, $6::text::jsonb, last_error
    FROM gone g JOIN {schema}.workers w ON w.id = $3::uuid
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, 'completed', 1 FROM gone
)
SELECT count(*) FROM gone;
