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

-- name: has_lost_claims
-- Claims of an epoch below number $3, but for those in $2: the reply to them was lost.
SELECT EXISTS (SELECT FROM {schema}.claims WHERE worker_id = $1::uuid AND number < $3 AND NOT number = ANY ($2::bigint[]));

-- name: lost_jobs
-- Locks the jobs of such claims. One that somebody else has locked is left for another time.
SELECT j.id, j.requeues, c.number, c.claimed_at
FROM {schema}.claims c
CROSS JOIN LATERAL unnest(c.job_ids, c.requeues) AS u (id, requeues)
JOIN {schema}.open_jobs j ON j.id = u.id AND j.requeues = u.requeues
WHERE c.worker_id = $1::uuid AND c.number < $3 AND NOT c.number = ANY ($2::bigint[])
FOR UPDATE OF j SKIP LOCKED;

-- name: forget_lost_claims
-- Drops such claims, once none of their jobs is held by them.
DELETE FROM {schema}.claims c
WHERE c.worker_id = $1::uuid AND c.number < $3 AND NOT c.number = ANY ($2::bigint[])
  AND NOT EXISTS (
    SELECT FROM unnest(c.job_ids, c.requeues) AS u (id, requeues)
    JOIN {schema}.open_jobs j ON j.id = u.id AND j.requeues = u.requeues);
