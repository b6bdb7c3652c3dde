package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// misplaced lists what is wrong with where jobs stand: an unfinished job must
// be in exactly one place, and what is claimed from must be a job.
const misplaced = `
WITH due AS (
	SELECT r.*, u.id FROM {schema}.ready r CROSS JOIN LATERAL unnest(r.job_ids) AS u (id)
), places AS (
	SELECT id, requeues, 'ready' AS place FROM due
	UNION ALL
	SELECT job_id, requeues, 'later' FROM {schema}.later
	UNION ALL
	SELECT u.id, u.requeues, 'claim ' || c.number || ' of ' || c.worker_id
	FROM {schema}.claims c CROSS JOIN LATERAL unnest(c.job_ids, c.requeues) AS u (id, requeues)
)
SELECT format('unfinished job %s is in %s places: %s', j.id, count(p.id), string_agg(p.place, ', '))
FROM {schema}.open_jobs j LEFT JOIN places p ON p.id = j.id AND p.requeues = j.requeues
GROUP BY j.id HAVING count(p.id) <> 1
UNION ALL
SELECT format('ready has job %s, which is not unfinished like that', r.id)
FROM due r
WHERE NOT EXISTS (
	SELECT FROM {schema}.open_jobs j
	WHERE (j.id, j.requeues, j.queue, j.kind, j.priority, j.scheduled_at) = (r.id, r.requeues, r.queue, r.kind, r.priority, r.run_at))
UNION ALL
SELECT format('ready has the jobs %s in one row', job_ids)
FROM {schema}.ready r
WHERE job_ids <> ARRAY(SELECT DISTINCT id FROM unnest(job_ids) AS u (id) WHERE id / 32 = job_id / 32 ORDER BY id) OR job_id <> job_ids[1]
UNION ALL
SELECT format('later has job %s, which is not unfinished like that', l.job_id)
FROM {schema}.later l
WHERE NOT EXISTS (
	SELECT FROM {schema}.open_jobs j
	WHERE (j.id, j.requeues, j.queue, j.kind, j.priority, j.scheduled_at, j.waiting_state) = (l.job_id, l.requeues, l.queue, l.kind, l.priority, l.run_at, l.state))
UNION ALL
SELECT format('job %s is unfinished and finished', j.id) FROM {schema}.open_jobs j JOIN {schema}.finished_jobs USING (id)
UNION ALL
SELECT format('job %s is finished %s times', id, count(*)) FROM {schema}.finished_jobs GROUP BY id HAVING count(*) > 1
UNION ALL
SELECT format('job %s has a cancellation requested, and waits', j.id)
FROM {schema}.open_jobs j WHERE cancel_requested AND id IN (SELECT id FROM due UNION ALL SELECT job_id FROM {schema}.later)`

// miscounted lists where the view job_counts and the view jobs disagree.
const miscounted = `
SELECT format('%s jobs in queue %s of kind %s are %s, job_counts has %s', coalesce(j.count, 0), queue, kind, state, coalesce(c.count, 0))
FROM (SELECT queue, kind, state, count(*) FROM {schema}.jobs GROUP BY queue, kind, state) j
FULL JOIN {schema}.job_counts c USING (queue, kind, state)
WHERE j.count IS DISTINCT FROM c.count`

// check fails the test where the schema contradicts itself.
func (f *fixture) check(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, f.pool, options, func(tx pgx.Tx) error {
		for _, query := range []string{misplaced, miscounted} {
			rows, err := tx.Query(ctx, f.sql(query))
			if err != nil {
				return err
			}
			problems, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			if diff := cmp.Diff([]string{}, problems); diff != "" {
				t.Errorf("the schema contradicts itself (-want +got):\n%s", diff)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
