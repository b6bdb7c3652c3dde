-- name: claim
-- Looks at the stretches of ready that $5 and $7 to $10 name: of a kind, from a place on, to a priority. What may have become
-- visible in the last $11 seconds is looked at whatever the place. Takes $4 rows at the most, and of their jobs the first $6.
WITH owner AS MATERIALIZED (
    SELECT id FROM {schema}.workers
    WHERE id = $1::uuid AND state = 'serving' AND lease_until > clock_timestamp()
    FOR KEY SHARE
), picked AS MATERIALIZED (
    -- room is how many jobs of the row are wanted, or more.
    SELECT p.row_at, p.job_ids, cardinality(p.job_ids) AS size, $6 + cardinality(p.job_ids) - sum(cardinality(p.job_ids)) OVER (
        ORDER BY p.priority, p.run_at, p.job_id ROWS UNBOUNDED PRECEDING) AS room
    FROM owner CROSS JOIN unnest($5::text[], $7::smallint[], $8::smallint[], $9::timestamptz[], $10::bigint[])
        AS s (kind, priority, last_priority, run_at, job_id)
    CROSS JOIN LATERAL (
        SELECT r.ctid AS row_at, r.priority, r.run_at, r.job_id, r.job_ids
        FROM {schema}.ready r
        WHERE r.queue = $3 AND r.kind = s.kind AND r.priority <= s.last_priority
            AND (r.priority, r.run_at, r.job_id) > (s.priority, least(s.run_at, now() - make_interval(secs => $11)), s.job_id)
        ORDER BY r.priority, r.run_at, r.job_id
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) p
    ORDER BY p.priority, p.run_at, p.job_id
    LIMIT $4
), emptied AS (
    DELETE FROM {schema}.ready WHERE ctid = ANY (ARRAY(SELECT row_at FROM picked WHERE room >= size))
    RETURNING job_ids, requeues
), shortened AS (
    UPDATE {schema}.ready r SET job_ids = r.job_ids[p.room + 1:], job_id = r.job_ids[p.room + 1]
    FROM picked p WHERE r.ctid = p.row_at AND p.room > 0 AND p.room < p.size
    RETURNING p.job_ids[:p.room] AS job_ids, r.requeues
), taken AS (
    SELECT job_ids, requeues, cardinality(job_ids) AS size, job_ids[1] AS first_id, job_ids[cardinality(job_ids)] AS last_id
    FROM (SELECT * FROM emptied UNION ALL SELECT * FROM shortened) t
), claimed AS (
    INSERT INTO {schema}.claims (worker_id, number, job_ids, requeues)
    SELECT $1::uuid, $2, array_agg(id), array_agg(requeues)
    FROM (SELECT unnest(job_ids) AS id, requeues FROM taken) t
    HAVING count(*) > 0
), runs AS (
    -- Rows without gaps in their ids that go on from one another are one run, of which last_id less the jobs so far is the same.
    -- A row with gaps is a run of its own, and keeps its ids.
    SELECT min(first_id) AS first_id, max(last_id) AS last_id, requeues, gapped_ids
    FROM (
        SELECT *, last_id - sum(size) OVER (
            PARTITION BY requeues, gapped_ids IS NULL ORDER BY first_id ROWS UNBOUNDED PRECEDING) AS run
        FROM (SELECT *, CASE WHEN last_id - first_id >= size THEN job_ids END AS gapped_ids FROM taken) t
    ) t
    GROUP BY requeues, gapped_ids, run
)
-- What is sorted by stands first, where a sort finds it at once. The jobs are looked up as ranges: by = ANY it would be one by one.
SELECT j.priority, j.scheduled_at, j.id, j.kind, j.args, j.attempt + 1, j.max_attempts, j.losses,
       coalesce(j.unique_key, ''), j.metadata, j.created_at, now(), r.requeues, (SELECT count(*) FROM taken)
FROM runs r JOIN {schema}.open_jobs j
    ON j.id BETWEEN r.first_id AND r.last_id AND (r.gapped_ids IS NULL OR array_position(r.gapped_ids, j.id) IS NOT NULL)
ORDER BY j.priority, j.scheduled_at, j.id;

-- name: more_ready
-- Whether there may be more jobs where claim number $2, made before it in the same transaction, has looked. If that brought
-- all of the $3 that were wanted, there may be, without another look.
SELECT EXISTS (
    SELECT FROM {schema}.claims WHERE worker_id = $1::uuid AND number = $2 AND cardinality(job_ids) >= $3
) OR EXISTS (
    SELECT FROM unnest($5::text[], $6::smallint[], $7::smallint[], $8::timestamptz[], $9::bigint[])
        AS s (kind, priority, last_priority, run_at, job_id)
    CROSS JOIN LATERAL (
        SELECT FROM {schema}.ready r
        WHERE r.queue = $4 AND r.kind = s.kind AND r.priority <= s.last_priority
            AND (r.priority, r.run_at, r.job_id) > (s.priority, least(s.run_at, now() - make_interval(secs => $10)), s.job_id)
        LIMIT 1
    ) r
);

-- name: promote
WITH due AS (
    DELETE FROM {schema}.later WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {schema}.later WHERE run_at <= now() ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING run_at, job_id, queue, kind, priority, requeues
), moved AS (
    INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
    SELECT queue, kind, priority, run_at, min(job_id), array_agg(job_id ORDER BY job_id), requeues FROM due
    GROUP BY queue, kind, priority, run_at, requeues, job_id / 32
)
SELECT count(*), CASE WHEN count(*) > 0 THEN {schema}.notify($2) END FROM due;

-- name: next_due
-- Negative where nothing is scheduled; no more than a year, which is soon enough to look again.
SELECT coalesce((
    SELECT least(greatest(extract(epoch FROM run_at - clock_timestamp()), 0), 31536000)
    FROM {schema}.later ORDER BY run_at LIMIT 1), -1)::float8;
