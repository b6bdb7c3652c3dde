-- name: open_epoch
INSERT INTO {schema}.workers (id, pod, version, role, template_hash, state, lease_until)
VALUES ($1::uuid, $2, $3, $4, $5, 'serving', clock_timestamp() + make_interval(secs => $6));

-- name: renew_epoch
UPDATE {schema}.workers
SET state = $3, heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1::uuid AND state IN ('serving', 'draining') AND lease_until > clock_timestamp();

-- name: lock_epoch
-- Waits for a claim that is under way: claims hold the row FOR KEY SHARE.
SELECT 1 FROM {schema}.workers WHERE id = $1::uuid AND state IN ('serving', 'draining') FOR UPDATE;

-- name: end_epoch
UPDATE {schema}.workers SET state = 'ended', heartbeat_at = clock_timestamp(), ended_at = clock_timestamp()
WHERE id = $1::uuid AND state IN ('serving', 'draining');

-- name: cancel_requested
SELECT id FROM {schema}.open_jobs WHERE cancel_requested;

-- name: reclaim
-- Returns the jobs of an epoch's claims below number $3 to their queues, uncharged, but for the claims in $2.
WITH unknown AS MATERIALIZED (
    SELECT c.number, u.id, u.requeues
    FROM {schema}.claims c CROSS JOIN LATERAL unnest(c.job_ids, c.requeues) AS u (id, requeues)
    WHERE c.worker_id = $1::uuid AND c.number < $3 AND NOT c.number = ANY ($2::bigint[])
), locked AS MATERIALIZED (
    SELECT j.id, j.cancel_requested
    FROM unknown u JOIN {schema}.open_jobs j ON j.id = u.id AND j.requeues = u.requeues
    FOR UPDATE OF j
), back AS (
    UPDATE {schema}.open_jobs j SET requeues = j.requeues + 1
    FROM locked l WHERE j.id = l.id
    RETURNING j.id, j.queue, j.kind, j.priority, j.scheduled_at, j.requeues
), due AS (
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, requeues)
    SELECT queue, kind, priority, scheduled_at, id, requeues FROM back
), emptied AS (
    DELETE FROM {schema}.claims c USING (SELECT DISTINCT number FROM unknown) u
    WHERE c.worker_id = $1::uuid AND c.number = u.number
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify($4, '') END FROM back;
