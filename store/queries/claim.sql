-- name: claim
-- Looks at the stretches of ready that $4 and $6 to $9 name: of a kind, from a place on, to a priority. What may have become
-- visible in the last $10 seconds is looked at whatever the place.
WITH owner AS MATERIALIZED (
    SELECT id FROM {schema}.workers
    WHERE id = $1::uuid AND state = 'serving' AND lease_until > clock_timestamp()
    FOR KEY SHARE
), picked AS MATERIALIZED (
    SELECT p.row_at
    FROM owner CROSS JOIN unnest($4::text[], $6::smallint[], $7::smallint[], $8::timestamptz[], $9::bigint[])
        AS s (kind, priority, last_priority, run_at, job_id)
    CROSS JOIN LATERAL (
        SELECT r.ctid AS row_at, r.priority, r.run_at, r.job_id
        FROM {schema}.ready r
        WHERE r.queue = $3 AND r.kind = s.kind AND r.priority <= s.last_priority
            AND (r.priority, r.run_at, r.job_id) > (s.priority, least(s.run_at, now() - make_interval(secs => $10)), s.job_id)
        ORDER BY r.priority, r.run_at, r.job_id
        LIMIT $5
        FOR UPDATE SKIP LOCKED
    ) p
    ORDER BY p.priority, p.run_at, p.job_id
    LIMIT $5
), taken AS (
    DELETE FROM {schema}.ready WHERE ctid = ANY (ARRAY(SELECT row_at FROM picked))
    RETURNING priority, run_at, job_id, requeues
), claimed AS (
    INSERT INTO {schema}.claims (worker_id, number, job_ids, requeues)
    SELECT $1::uuid, $2, array_agg(job_id), array_agg(requeues) FROM taken HAVING count(*) > 0
)
SELECT j.id, j.kind, j.args, j.priority, j.scheduled_at, j.attempt + 1, j.max_attempts, j.losses,
       coalesce(j.unique_key, ''), j.metadata, j.created_at, now(), t.requeues
FROM taken t JOIN {schema}.open_jobs j ON j.id = t.job_id
ORDER BY t.priority, t.run_at, t.job_id;

-- name: promote
WITH due AS (
    DELETE FROM {schema}.later WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {schema}.later WHERE run_at <= now() ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING run_at, job_id, queue, kind, priority, requeues
), moved AS (
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, requeues)
    SELECT queue, kind, priority, run_at, job_id, requeues FROM due
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify($2, '') END FROM due;

-- name: next_due
-- Negative where nothing is scheduled; no more than a year, which is soon enough to look again.
SELECT coalesce((
    SELECT least(greatest(extract(epoch FROM run_at - clock_timestamp()), 0), 31536000)
    FROM {schema}.later ORDER BY run_at LIMIT 1), -1)::float8;
