-- name: expire
-- FOR UPDATE waits for no claim and lets none slip by: one that is under way keeps the row, and the next round takes it.
-- A heartbeat in the future is one by a clock that was set back since, and so is the end of its lease. That lease counts
-- from now, as if it had just been renewed; a worker that lives renews it before it is over.
WITH ahead AS (
    SELECT id FROM {schema}.workers
    WHERE state IN ('serving', 'draining') AND heartbeat_at > clock_timestamp() + interval '1 second'
    FOR NO KEY UPDATE SKIP LOCKED
), clamped AS (
    UPDATE {schema}.workers w SET heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + (w.lease_until - w.heartbeat_at)
    FROM ahead a WHERE w.id = a.id
), expired AS (
    SELECT id FROM {schema}.workers
    WHERE state IN ('serving', 'draining') AND lease_until < clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.workers w SET state = 'lost', ended_at = clock_timestamp() FROM expired e WHERE w.id = e.id;

-- name: rescue
WITH orphan AS MATERIALIZED (
    SELECT u.id, u.requeues, c.worker_id, c.worker_version, c.worker_role, c.claimed_at
    FROM (
        SELECT c.*, w.version AS worker_version, w.role AS worker_role
        FROM {schema}.claims c LEFT JOIN {schema}.workers w ON w.id = c.worker_id
        WHERE w.id IS NULL OR w.state NOT IN ('serving', 'draining')
    ) c CROSS JOIN LATERAL unnest(c.job_ids, c.requeues) AS u (id, requeues)
), locked AS MATERIALIZED (
    SELECT j.id, j.cancel_requested OR j.losses + 1 >= $1 AS over, o.worker_id, o.worker_version, o.worker_role, o.claimed_at
    FROM orphan o JOIN {schema}.open_jobs j ON j.id = o.id AND j.requeues = o.requeues
    FOR UPDATE OF j SKIP LOCKED
), back AS (
    UPDATE {schema}.open_jobs j
    SET requeues = j.requeues + 1, losses = j.losses + 1, waiting_state = 'available', attempted_at = l.claimed_at, last_error = 'worker lost',
        past_attempts = {schema}.add_attempt(j.past_attempts, j.attempt + 1, l.worker_id, l.worker_version, l.worker_role, l.claimed_at, now(), 'worker lost')
    FROM locked l WHERE j.id = l.id AND NOT l.over
    RETURNING j.id, j.queue, j.kind, j.priority, j.scheduled_at, j.requeues
), due AS (
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
    SELECT queue, kind, priority, scheduled_at, min(id), array_agg(id ORDER BY id), requeues FROM back
    GROUP BY queue, kind, priority, scheduled_at, requeues, id / 32
), gone AS (
    DELETE FROM {schema}.open_jobs j USING locked l
    WHERE j.id = l.id AND l.over
    RETURNING j.*, l.worker_id, l.worker_version, l.worker_role, l.claimed_at, CASE WHEN j.cancel_requested THEN 'cancelled' ELSE 'discarded' END AS state
), done AS (
    INSERT INTO {schema}.finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses,
        requeues, unique_key, metadata, created_at, attempted_at, worker_id, worker_version, worker_role, past_attempts, last_error)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL),
        id, queue, kind, args, state, priority, scheduled_at, attempt + 1, max_attempts, losses + 1,
        requeues, unique_key, metadata, created_at, claimed_at, worker_id, worker_version, worker_role, past_attempts, 'worker lost'
    FROM gone
), counted AS (
    INSERT INTO {schema}.finished_counts (slice, queue, kind, state, jobs)
    SELECT (SELECT slice FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL), queue, kind, state, count(*)
    FROM gone GROUP BY queue, kind, state
)
SELECT count(*), CASE WHEN count(*) > 0 THEN {schema}.notify($2) END FROM locked;

-- name: sweep_claims
-- Drops the claims of workers that are gone, once none of their jobs is held by them. Only theirs are looked into.
WITH orphan AS MATERIALIZED (
    SELECT c.worker_id, c.number, c.job_ids, c.requeues FROM {schema}.claims c
    WHERE NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.id = c.worker_id AND w.state IN ('serving', 'draining'))
)
DELETE FROM {schema}.claims c USING orphan o
WHERE (c.worker_id, c.number) = (o.worker_id, o.number) AND NOT EXISTS (
    SELECT FROM unnest(o.job_ids, o.requeues) AS u (id, requeues)
    JOIN {schema}.open_jobs j ON j.id = u.id AND j.requeues = u.requeues);

-- name: prune
SELECT {schema}.prune(make_interval(secs => $1));
