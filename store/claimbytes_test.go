package store_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// claimWithin claims jobs of no more bytes than that, and says how many they have.
func claimWithin(t *testing.T, q *store.Queue, limit, budget int) (jobs []*understudy.Job, bytes int, more bool) {
	t.Helper()
	jobs, more, err := q.Claim(t.Context(), understudy.ClaimRequest{Queue: "default", Kinds: []string{"noop0"}, Limit: limit, Bytes: budget})
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		bytes += len(job.Args) + len(job.Metadata)
	}
	return jobs, bytes, more
}

// workWithin works all jobs that there are with claims of no more bytes than that.
func workWithin(t *testing.T, q *store.Queue, limit, budget int) (ids []int64) {
	t.Helper()
	for {
		jobs, bytes, more := claimWithin(t, q, limit, budget)
		if bytes > budget && len(jobs) > 1 {
			t.Errorf("%d jobs of %d bytes were claimed, where there was room for %d", len(jobs), bytes, budget)
		}
		for _, job := range jobs {
			if job.Attempt != 1 || job.Losses != 0 {
				t.Errorf("job %d was charged: attempt %d, losses %d", job.ID, job.Attempt, job.Losses)
			}
		}
		completed(t, q, jobs...)
		ids = append(ids, idsOf(jobs)...)
		if len(jobs) == 0 && !more {
			return ids
		}
	}
}

func TestAClaimBringsNoMoreBytesThanThereIsRoomForAndAllAreWorkedUncharged(t *testing.T) {
	t.Parallel()
	const budget = 1 << 20
	for name, c := range map[string]struct {
		args, metadata string
		jobs           int
	}{
		"stored as long as written": {`(SELECT jsonb_agg(md5(g::text)) FROM generate_series(1, 5000) g)`, `'{}'`, 30},
		"stored short":              {`to_jsonb(repeat('x', 200000))`, `to_jsonb(repeat('y', 10000))`, 60},
		"short numbers":             {`'[1e131071, 1e131071, 1e131071]'`, `'[1e131071]'`, 60},
		"larger than the room":      {`to_jsonb(repeat('x', 1000000))`, `to_jsonb(repeat('y', 1000000))`, 12},
		"small":                     {`'{}'`, `'{}'`, 100},
	} {
		for _, through := range []string{"a session", "a pooler"} {
			t.Run(name+" through "+through, func(t *testing.T) {
				t.Parallel()
				f, options := migrated(t), []func(*store.QueueOptions){}
				if through == "a pooler" {
					config := f.pool.Config()
					config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
					f, options = f.withPool(t, config), append(options, pooled)
				}
				q := f.epoch(t, options...)
				f.exec(t, "SELECT {schema}.enqueue_many(array_fill('noop0'::text, ARRAY[$1::int]), array_fill("+c.args+"::jsonb, ARRAY[$1::int]), metadata => array_fill("+c.metadata+"::jsonb, ARRAY[$1::int]))", c.jobs)
				if ids := workWithin(t, q, 2000, budget); len(ids) != c.jobs {
					t.Errorf("%d jobs were worked of %d", len(ids), c.jobs)
				}
				if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_jobs WHERE state = 'completed' AND past_attempts IS NULL"); n != c.jobs {
					t.Errorf("%d jobs completed at the first attempt, want %d", n, c.jobs)
				}
			})
		}
	}
}

func TestLargeJobsDoNotHoldUpTheSmallOnesBehindThem(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	large := f.enqueue(t, store.NewJob{Kind: "noop0", Args: strings.Repeat("x", 1_000_000)}, store.NewJob{Kind: "noop0", Args: strings.Repeat("x", 1_000_000)})
	f.enqueue(t, noops(3000, 1)...)
	jobs, bytes, more := claimWithin(t, q, 2000, 1<<20)
	if len(jobs) != 1 || jobs[0].ID != large[0] || bytes > 1<<20 || !more {
		t.Fatalf("%d jobs of %d bytes came, more %t", len(jobs), bytes, more)
	}
	completed(t, q, jobs...)
	claims, worked := 0, 0
	for ; worked < 3001; claims++ {
		jobs, _, _ := claimWithin(t, q, 2000, 1<<20)
		worked += len(jobs)
		completed(t, q, jobs...)
		if claims == 30 {
			t.Fatalf("%d jobs were worked by 30 claims", worked)
		}
	}
	t.Logf("%d claims", claims)
}

func TestAClaimWithoutABudgetBringsAll(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.enqueue(t, store.NewJob{Kind: "noop0", Args: strings.Repeat("x", 1_000_000)}, store.NewJob{Kind: "noop0", Args: strings.Repeat("x", 1_000_000)})
	if jobs, _, _ := claimWithin(t, q, 10, 0); len(jobs) != 2 {
		t.Errorf("%d jobs came", len(jobs))
	}
}
