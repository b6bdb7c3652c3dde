-- name: finish
-- Takes runs of jobs: their first and last id, where in $10 the first one's start stands, and what they have in common.
-- Fenced twice: by the claim, which must still be there, and by requeues. A problem is the warning of a job that is completed, and else its
-- error. Returns which of the outcomes were written; null for all.
WITH gone AS (
    DELETE FROM {schema}.open_jobs j
    USING (
        SELECT unnest($2::bigint[]) AS first_id, unnest($3::bigint[]) AS last_id, unnest($4::int[]) AS place, unnest($5::bigint[]) AS number,
            unnest($6::int[]) AS requeues, unnest($7::text[]) AS state, unnest($8::text[]) AS result, unnest($9::text[]) AS problem
    ) r
    WHERE j.id BETWEEN r.first_id AND r.last_id AND j.requeues = r.requeues
        AND r.number = ANY (ARRAY(SELECT number FROM {schema}.claims WHERE worker_id = $1::uuid AND number = ANY ($5::bigint[])))
    RETURNING j.*, r.place + (j.id - r.first_id)::int AS nth, r.result, r.problem,
        CASE WHEN r.state = 'discarded' AND j.cancel_requested THEN 'cancelled' ELSE r.state END AS state
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, result, last_error, warning)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        id, queue, kind, args, state, priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, ($10::timestamptz[])[nth], $1::uuid, $11, $12, past_attempts, result::jsonb,
        CASE WHEN state = 'completed' THEN last_error ELSE coalesce(problem, state) END, CASE WHEN state = 'completed' THEN problem END
    FROM gone
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, state, count(*)
    FROM gone GROUP BY queue, kind, state
)
SELECT CASE WHEN (SELECT count(*) FROM gone) < cardinality($10::timestamptz[]) THEN ARRAY(SELECT nth FROM gone) END;

-- name: requeue
-- Fenced like finish, and returns the like. A job whose cancellation was requested is cancelled instead; one that is released is not charged for that.
WITH held AS MATERIALIZED (
    SELECT u.id, u.requeues, u.verdict, u.delay, u.attempted_at, u.error, u.nth
    FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::float8[], $7::timestamptz[], $8::text[])
        WITH ORDINALITY AS u (id, requeues, number, verdict, delay, attempted_at, error, nth)
    WHERE u.number = ANY (ARRAY(SELECT number FROM {schema}.claims WHERE worker_id = $1::uuid AND number = ANY ($4::bigint[])))
), locked AS MATERIALIZED (
    SELECT j.id, j.cancel_requested, h.verdict, h.delay, h.attempted_at, h.error, h.nth
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
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
    SELECT queue, kind, priority, scheduled_at, min(id), array_agg(id ORDER BY id), requeues FROM back WHERE scheduled_at <= now()
    GROUP BY queue, kind, priority, scheduled_at, requeues, id / 32
    RETURNING 1
), not_yet AS (
    INSERT INTO {schema}.later (run_at, job_id, queue, kind, state, priority, requeues)
    SELECT scheduled_at, id, queue, kind, waiting_state, priority, requeues FROM back WHERE scheduled_at > now()
), gone AS (
    DELETE FROM {schema}.open_jobs j USING locked l
    WHERE j.id = l.id AND l.cancel_requested
    RETURNING j.*, l.attempted_at AS started_at, l.error, l.verdict <> 'released' AS charged
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        id, queue, kind, args, 'cancelled', priority, scheduled_at,
        CASE WHEN charged THEN attempt + 1 ELSE attempt END, max_attempts, losses, requeues, unique_key, metadata, created_at,
        CASE WHEN charged THEN started_at ELSE attempted_at END, CASE WHEN charged THEN $1::uuid END,
        CASE WHEN charged THEN $9 END, CASE WHEN charged THEN $10 END, past_attempts,
        coalesce(error, CASE WHEN charged THEN 'cancelled' ELSE last_error END)
    FROM gone
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, 'cancelled', count(*)
    FROM gone GROUP BY queue, kind
)
SELECT CASE WHEN count(*) < cardinality($2::bigint[]) THEN coalesce(array_agg(nth), '{}') END,
       (SELECT CASE WHEN count(*) > 0 THEN {schema}.notify($11) END FROM due)
FROM locked;

-- name: forget_claims
-- Drops claims whose last outcomes are written before it in the same transaction.
DELETE FROM {schema}.claims WHERE worker_id = $1::uuid AND number = ANY ($2::bigint[]);

-- name: locked
-- Locks the jobs that are free, and returns which are locked by somebody else.
WITH wanted AS MATERIALIZED (
    SELECT u.id, u.requeues, u.nth FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY AS u (id, requeues, nth)
), free AS MATERIALIZED (
    SELECT w.nth FROM wanted w JOIN {schema}.open_jobs j ON j.id = w.id AND j.requeues = w.requeues FOR UPDATE OF j SKIP LOCKED
)
SELECT w.nth FROM wanted w JOIN {schema}.open_jobs j ON j.id = w.id AND j.requeues = w.requeues
WHERE w.nth NOT IN (SELECT nth FROM free);

-- name: complete_in_tx
-- The worker's row is read, not given: a handler's transaction knows only its job.
WITH gone AS (
    DELETE FROM {schema}.open_jobs j
    USING {schema}.claims c
    WHERE j.id = $1 AND j.requeues = $2 AND c.worker_id = $3::uuid AND c.number = $4
    RETURNING j.*
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, result, last_error, warning)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        g.id, queue, kind, args, 'completed', priority, scheduled_at, attempt + 1, max_attempts, losses,
        requeues, unique_key, metadata, created_at, $5, $3::uuid, w.version, w.role, past_attempts, $6::text::jsonb, last_error, $7::text
    FROM gone g LEFT JOIN {schema}.workers w ON w.id = $3::uuid
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, 'completed', 1 FROM gone
)
SELECT count(*) FROM gone;
